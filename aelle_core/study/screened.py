"""Draw untrained networks of a study, rank them by their spectra, and keep the best as a study."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aelle_core.foundation.errors import UserError
from aelle_core.screening import Ranked, SpectrumPredictor, screen
from aelle_core.study.candidates import Candidate, drawn_candidates, kept_study
from aelle_core.study.model import Study
from aelle_core.tasks import Task


@dataclass(frozen=True)
class Screened:
    """What screening a study found.

    whole    the study that would train every candidate
    drawn    the candidates
    ranked   those that are kept, best first; `index` is the place among the drawn
    """

    whole: Study
    drawn: Sequence[Candidate]
    ranked: Sequence[Ranked]

    @property
    def kept(self) -> list[Candidate]:
        """The kept candidates, best first."""
        return [self.drawn[candidate.index] for candidate in self.ranked]

    @property
    def study(self) -> Study:
        """The study that trains the kept candidates alone."""
        return kept_study(self.whole, self.kept)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each kept candidate: its name, what to expect of it, and what was drawn for it."""
        return [
            {
                "network": candidate.variant.network,
                "expected_loss": ranked.predicted,
                "spread": ranked.spread,
                "distance": ranked.distance,
                "hyperparameters": dict(candidate.variant.hyperparameters),
            }
            for ranked, candidate in zip(self.ranked, self.kept, strict=True)
        ]

    def to_json(self) -> str:
        """Return the study of the kept candidates and their rows, as a file holds them."""
        return json.dumps({"study": self.study.to_dict(), "kept": self.rows()}, indent=1) + "\n"


def screen_study(
    study: Study, task: Task, predictor: SpectrumPredictor, *, candidates: int, keep: int, sequences: int = 1
) -> Screened:
    """Draw at least `candidates` networks of the study, as many of each cell and size, and keep the `keep` best by the
    loss to expect from spectra along `sequences` sequences. Raises UserError where more are to be kept than drawn."""
    if not 1 <= keep <= candidates:
        raise UserError(f"keep={keep!r}: expected 1 to {candidates}, the candidates")
    whole, drawn = drawn_candidates(study, task, candidates)
    rates = [candidate.variant.hyperparameters.get("learning_rate", float("nan")) for candidate in drawn]
    ranked = screen(
        [candidate.network for candidate in drawn],
        task.spectrum_inputs(sequences),
        predictor,
        keep=min(keep, len(drawn)),
        learning_rate=rates if all(rate > 0 for rate in rates) else None,
    )
    return Screened(whole, drawn, ranked)
