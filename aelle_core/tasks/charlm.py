"""Character language model: which character comes next."""

import hashlib
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits
from aelle_core.tasks.supervised import Classification
from aelle_core.tasks.texts import PYTHON, read_text


@tasks.register("charlm")
class CharacterLanguageModel(Classification):
    """One-hot characters in, the next character out: after every character, or after the last only.

    text        a file of UTF-8 text, an http(s) address, or "python": the language reference that every Python carries
                (374,000 characters; it differs between Python's versions, and the statement has its hash)
    sha256      of the text's bytes, checked where given; an address needs it, here or as #sha256=... at its end
    characters  how many to use, from the start; None for all
    steps       characters per sequence
    readout     "every" or "last": the characters after which the next one is asked for
    share       of the training sequences, what each network sees: its own, drawn at random from its seed

    Classes and features are the characters that occur in the text, sorted; War and Peace has 82. The text is cut into
    sequences of steps + 1 characters, the last of which is only a target, so that no two share a character. Eight
    tenths of the text in one stretch train, the tenth after it validates, the one after that tests; where the first
    stretch starts is drawn from the seed, and the text's end is followed by its start. Vogt et al. 2024, section 4.2.
    """

    data_option: ClassVar[str] = "text"

    def __init__(
        self,
        *,
        seed: int = 0,
        text: str = PYTHON,
        sha256: str | None = None,
        characters: int | None = None,
        steps: int = 100,
        readout: str = "every",
        share: float = 0.2,
    ) -> None:
        super().__init__(seed=seed)
        if not isinstance(text, str) or not text:
            raise UserError(f"charlm: text={text!r}: expected a file, an address or {PYTHON!r}")
        if sha256 is not None and (not isinstance(sha256, str) or len(sha256) != 64):
            raise UserError(f"charlm: sha256={sha256!r}: expected 64 hexadecimal digits")
        if readout not in ("every", "last"):
            raise UserError(f"charlm: readout={readout!r}: expected 'every' or 'last'")
        for label, value in (("steps", steps), ("characters", characters)):
            if value is not None:
                check_whole(f"charlm: {label}", value, 1)
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
            raise UserError(f"charlm: share={share!r}: expected a number above 0 and up to 1")
        self.source, self.sha256, self.characters = text, sha256, characters
        self._steps = steps
        self.readout = readout  # type: ignore[assignment]
        self.share = float(share)

    @property
    def steps(self) -> int:
        return self._steps

    @property
    def input_size(self) -> int:
        return len(self.vocabulary)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(self.vocabulary)

    @cached_property
    def text(self) -> str:
        """What is learnt. Raises UserError where it cannot be had."""
        return read_text(self.source, self.sha256)[: self.characters]

    @cached_property
    def vocabulary(self) -> str:
        """The characters that occur, sorted: code k stands for the k-th."""
        return "".join(sorted(set(self.text)))

    def check(self, batch_size: int = 1, warmup: int = 0) -> None:
        sequences = len(self.text) // (self.steps + 1)
        own = round(self.share * int(0.8 * sequences))
        if sequences < 10 or own < batch_size:
            raise UserError(
                f"charlm: {counted(len(self.text), 'character')} of text {self.source!r} make "
                f"{counted(max(own, 0), 'sequence')} of {counted(self.steps, 'step')} for each network (share "
                f"{self.share:g} of eight tenths): expected at least {batch_size}, one mini-batch, and 10 sequences in "
                "all"
            )

    def load(self) -> Splits:
        self.check()
        codes = self._sequences()
        count = len(codes)
        start = int(np.random.default_rng([self.seed, count]).integers(count))
        codes = codes.roll(-start, dims=0)
        first, second = int(0.8 * count), int(0.9 * count)
        return Splits(*(self._examples(part) for part in codes.tensor_split((first, second))))

    def _sequences(self) -> torch.Tensor:
        """(sequences, steps + 1) codes of the text, a byte each where there are no more than 256."""
        points = np.frombuffer(self.text.encode("utf-32-le"), dtype="<u4")
        known = np.frombuffer(self.vocabulary.encode("utf-32-le"), dtype="<u4")
        codes = np.searchsorted(known, points).astype(np.uint8 if len(known) <= 256 else np.int32)
        length = self.steps + 1
        return torch.from_numpy(codes[: len(codes) // length * length].reshape(-1, length))

    def _examples(self, codes: torch.Tensor) -> Examples:
        targets = codes[:, 1:] if self.readout == "every" else codes[:, -1]
        return Examples(codes[:, :-1].contiguous(), targets.long())

    def statement(self) -> dict[str, Any]:
        return {
            **super().statement(),
            "readout": self.readout,
            "share": self.share,
            "text": {
                "source": self.source,
                "characters": len(self.text),
                "sha256": hashlib.sha256(self.text.encode()).hexdigest(),
                "vocabulary": self.vocabulary,
            },
        }
