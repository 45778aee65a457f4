"""The task `arrays`: one's own sequences, to be classified, regressed, or forecast."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, unknown_name
from aelle_core.tasks.arrays.columns import Columns, names_of
from aelle_core.tasks.arrays.own_data import OwnData, check_texts
from aelle_core.tasks.arrays.prepare import Prepared, prepare
from aelle_core.tasks.arrays.splitting import Splitting
from aelle_core.tasks.arrays.targets import LEARN, Learn
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Splits
from aelle_core.tasks.supervised import Readout, Supervised


@tasks.register("arrays")
class Arrays(OwnData, Supervised):
    """Sequences from a file, a directory or an address, with classes, real numbers or nothing as targets.

    data         .npz, .npy, Parquet or CSV, or a directory of them; see docs/guide/your-data.md for what they hold
    learn        "classification", "regression" or "forecasting" (of the next step); without it what the targets are
    target, sequence, time, ignore  columns of tables: what is to be learned, what names the sequence, what orders its
                 rows, and what is left out; several as a list or separated by commas. Columns called target or label,
                 sequence or series, and time are found without
    split, window, stride, gap, validation, test  how sequences are cut and split, see Splitting
    standardise  whether features, and targets that are numbers, get mean 0 and variance 1 over the training part

    Sequences of different lengths are padded, and what lies behind them counts for nothing.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        data: str | None = None,
        learn: str | None = None,
        target: str | Sequence[str] | None = None,
        sequence: str | None = None,
        time: str | None = None,
        ignore: str | Sequence[str] = (),
        split: str | None = None,
        window: int | None = None,
        stride: int | None = None,
        gap: int | None = None,
        validation: float = 0.2,
        test: float = 0.2,
        standardise: bool = True,
    ) -> None:
        super().__init__(seed=seed)
        if learn is not None and learn not in LEARN:
            raise unknown_name("learn of arrays", learn, LEARN)
        check_texts("arrays", data=data, sequence=sequence, time=time)
        if not isinstance(standardise, bool):
            raise UserError(f"arrays: standardise={standardise!r}: expected true or false")
        self.data, self._standardise = data, standardise
        self._learn: Learn | None = learn
        self._columns = Columns(
            sequence, time, None if target is None else names_of("target", target), names_of("ignore", ignore)
        )
        self._splitting = Splitting.checked("arrays", split, window, stride, gap, validation, test)

    @cached_property
    def _prepared(self) -> Prepared:
        return prepare(self.recordings, self._splitting, self._learn, self.seed, self._standardise)

    def load(self) -> Splits:
        return self._prepared.splits

    @property
    def loss(self) -> str:  # type: ignore[override]
        return "cross_entropy" if self._prepared.goal.learn == "classification" else "squared_error"

    @property
    def loss_name(self) -> str:  # type: ignore[override]
        if self._prepared.goal.learn == "classification":
            return "loss (nats)"
        return "mean squared error" + " (the variance is 1)" * self._standardise

    @property
    def readout(self) -> Readout:  # type: ignore[override]
        return "every" if self._prepared.every else "last"

    @property
    def ragged(self) -> bool:  # type: ignore[override]
        return self._prepared.ragged

    @property
    def outputs(self) -> int:
        return len(self._prepared.goal.classes or self._prepared.goal.outputs)

    @property
    def input_size(self) -> int:
        return self.recordings.values.shape[1]

    @property
    def steps(self) -> int:
        return self._prepared.splits.training.inputs.shape[1]

    @property
    def known_steps(self) -> int | None:
        return None

    def check(self, batch_size: int = 1, warmup: int = 0) -> None:
        splits = self.splits
        if warmup >= (steps := self.spectrum_inputs(1).shape[1]):
            raise UserError(
                f"warmup={warmup}: spectra of 'arrays' are taken along {counted(steps, 'step')}; expected fewer"
            )
        if len(splits.training) < batch_size:
            raise UserError(
                f"arrays: {counted(len(splits.training), 'training example')} of {self.recordings.source}: expected at "
                f"least {batch_size}, one mini-batch; or a smaller batch_size"
            )

    def spectrum_inputs(self, sequences: int) -> Tensor:
        """Return validation sequences (sequences, time, features); of different lengths those that reach the median
        one, cut there."""
        validation = self.splits.validation
        if validation.lengths is None:
            return validation.inputs[:sequences]
        steps = int(validation.lengths.median())
        return validation.inputs[validation.lengths >= steps][:sequences, :steps]

    def baselines(self) -> dict[str, float]:
        """Return the validation losses of predictors that learn no sequences: the classes' frequencies or the mean of
        the training part, and for a forecast that nothing changes."""
        splits, goal = self.splits, self._prepared.goal
        held, shown = (
            _counted(part.targets, part.lengths, self.readout) for part in (splits.training, splits.validation)
        )
        if goal.learn == "classification":
            share = torch.bincount(held, minlength=self.outputs) / len(held)
            return {"class frequencies": float(-share[shown].log().mean())}
        losses = {"mean of the training part": float((shown - held.mean(dim=0)).square().mean())}
        if goal.learn == "forecasting":
            last = _counted(splits.validation.inputs, splits.validation.lengths, self.readout)
            losses["no change"] = float((shown - last).square().mean())
        return losses

    def statement(self) -> dict[str, Any]:
        held = self._prepared
        statement: dict[str, Any] = {
            **super().statement(),
            "loss_name": self.loss_name,
            "source": self.data,
            "learn": held.goal.learn,
            "per": "step" if held.every else "sequence",
            "split": self._splitting.kind(self.recordings),
            "feature_names": list(self.recordings.features),
            "standardisation": held.features.statement() if self._standardise else None,
            "baselines": {name: value for name, value in self.baselines().items() if math.isfinite(value)},
        }
        if held.goal.classes:
            return statement | {"class_names": list(held.goal.classes)}
        standardised = held.targets.statement() if self._standardise and held.targets is not None else None
        return statement | {"output_names": list(held.goal.outputs), "target_standardisation": standardised}


def _counted(values: Tensor, lengths: Tensor | None, readout: Readout) -> Tensor:
    """Targets (rows, ...) that count in a loss."""
    if readout == "last":
        return values
    if lengths is None:
        return values.flatten(0, 1)
    return values[torch.arange(values.shape[1]) < lengths.unsqueeze(1)]
