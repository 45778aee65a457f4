"""Forecasting: the next step of series, and then all that follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.systems import KnownSystem, get_system
from aelle_core.systems.divergence import estimated_exponent
from aelle_core.tasks.arrays.columns import Columns, names_of
from aelle_core.tasks.arrays.own_data import OwnData, check_texts
from aelle_core.tasks.arrays.splitting import Splitting
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits
from aelle_core.tasks.forecast.series import JUDGED, Judged, RecordedSeries, Series, SystemSeries
from aelle_core.tasks.supervised import Regression

_WINDOW, _STRIDE = 40, 10
_FEWEST_WINDOWS = 128  # of one's own series: eight mini-batches of the preset


@dataclass(frozen=True)
class HeldOut:
    """What free runs are judged by, on series that no network was trained on.

    context       (sequences, time, features): what networks read first, standardised
    continuation  (sequences, steps, features): what comes then
    interval      units of the system's time between two steps
    exponents     the system's own by rank, nats per unit of time; empty where they are not known
    """

    context: Tensor
    continuation: Tensor
    interval: float
    exponents: dict[int, float]


@tasks.register("forecast")
class Forecast(OwnData, Regression):
    """The next step of a known system (aelle_core.systems), or of one's own series.

    system, parameters, interval  which system, at which parameters, how much time between two steps; lorenz63 where
                there are no `data`
    noise       of observation, as a share of each feature's standard deviation
    series      how many series are trained on, of `length` steps each; a quarter as many (at least 4) validate, as many
                test, and as many hold what free runs are judged by
    data        in place of a system: .npz, .npy, Parquet or CSV, or a directory of them; see docs/guide/your-data.md
    sequence, time, ignore, split, gap, validation, test  how `data` are read and split, as the task `arrays` does
    window      steps that a network is trained along, from a state of zeros; windows start every `stride` steps. Of
                data 40 or a twentieth of the shortest training series, and so close that there are 128
    context     steps that a network reads before it runs freely, for `free_steps`: 100 and 1,000, or of data what the
                test part has room for
    loop_steps  how many of these a closed-loop spectrum is taken along, after `loop_warmup` that turn the tangents

    Features are standardised by the training series. Of a system each purpose has its own series, from its own states
    on the attractor; what is observed with noise is trained on alone, and free runs are judged by clean series. Of data
    free runs are judged by the test part.
    """

    trainer: ClassVar[str] = "forecast"
    readout = "every"
    loss_name: ClassVar[str] = "one-step mean squared error"

    def __init__(
        self,
        *,
        seed: int = 0,
        system: str | None = None,
        parameters: dict[str, float] | None = None,
        interval: float | None = None,
        noise: float | None = None,
        series: int | None = None,
        length: int | None = None,
        data: str | None = None,
        sequence: str | None = None,
        time: str | None = None,
        ignore: str | Sequence[str] = (),
        split: str | None = None,
        gap: int | None = None,
        validation: float = 0.2,
        test: float = 0.2,
        window: int | None = None,
        stride: int | None = None,
        context: int | None = None,
        free_steps: int | None = None,
        loop_steps: int = 600,
        loop_warmup: int = 100,
    ) -> None:
        super().__init__(seed=seed)
        check_texts("forecast", data=None if data == "" else data, sequence=sequence, time=time)
        _check_one_source(data, system=system, parameters=parameters, interval=interval, noise=noise, series=series,
                          length=length)  # fmt: skip
        noise, series, length = 0.0 if noise is None else noise, _or(series, 16), _or(length, 1200)
        if data is None:
            window, stride = _or(window, _WINDOW), _or(stride, _STRIDE)
        counts = {
            "series": (series, 1, 100_000),
            "length": (length, 3, 10_000_000),
            "window": (window, 2, 10_000_000 if data else length - 1),
            "stride": (stride, 1, 10_000_000 if data else length),
            "context": (context, 1, 1_000_000),
            "free_steps": (free_steps, 20, 1_000_000),
            "loop_steps": (loop_steps, 1, 1_000_000),
            "loop_warmup": (loop_warmup, 0, 1_000_000),
        }
        for label, (value, low, high) in counts.items():
            if value is not None:
                check_whole(f"forecast: {label}", value, low, high)
        if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < 100:
            raise UserError(f"forecast: noise={noise!r}: expected a number from 0 to 100")
        self.data, self._columns = data, Columns(sequence, time, None, names_of("ignore", ignore))
        self._splitting = Splitting.checked("forecast", split, window, stride, gap, validation, test)
        self.system: KnownSystem | None = None
        if data is None:
            self.system = get_system(system or "lorenz63", interval=interval, **(parameters or {}))
        self._drawn = (noise, series, length)
        self._window, self._stride = window, stride
        self._context, self._free_steps = context, free_steps
        self.loop_steps, self.loop_warmup = loop_steps, loop_warmup

    @cached_property
    def source(self) -> Series:
        """Where the series come from. Raises UserError where data cannot be had or are too few."""
        if self.system is not None:
            return SystemSeries(self.system, self.seed, *self._drawn)
        return RecordedSeries(self.recordings, self._splitting, self.seed)

    @property
    def input_size(self) -> int:
        return self.source.features

    @property
    def outputs(self) -> int:
        return self.source.features

    @property
    def steps(self) -> int:
        return self.window

    @property
    def known_steps(self) -> int | None:
        return None if self.data is not None and self._window is None else self.window

    @cached_property
    def window(self) -> int:
        """Steps that a network is trained along. Raises UserError where a series is too short for it."""
        if self._window is not None and self.data is None:
            return self._window
        shortest = min(map(len, self._training_series))
        window = max(2, min(_WINDOW, shortest // 20)) if self._window is None else self._window
        shortest = min(shortest, *(len(series) for part in JUDGED for series in self._judged(part, window)))
        if shortest <= window:
            raise UserError(
                f"forecast: a training, validation or test part of {self.source.name} has {counted(shortest, 'step')}: "
                f"expected more than window={window}"
            )
        return window

    @cached_property
    def stride(self) -> int:
        """Steps from one training window to the next."""
        if self._stride is not None:
            return self._stride
        starts = sum(len(series) - self.window for series in self._training_series)
        return max(1, min(_STRIDE, starts // _FEWEST_WINDOWS))

    @cached_property
    def _training_series(self) -> Sequence[Tensor]:
        return self.source.training()

    def _judged(self, part: Judged, window: int) -> Sequence[Tensor]:
        return self.source.judged(part, 10 * (window + 1))

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of each training feature, (features,) each."""
        known = torch.cat(list(self._training_series))
        spread = known.std(dim=0)
        return known.mean(dim=0), torch.where(spread > 0, spread, 1.0)

    def _standardised(self, series: Tensor) -> Tensor:
        mean, spread = self._scale
        return ((series - mean) / spread).float()

    def _windows(self, series: Sequence[Tensor], stride: int) -> Examples:
        cut = torch.cat([self._standardised(whole).unfold(0, self.window + 1, stride) for whole in series]).mT
        return Examples(cut[:, :-1].contiguous(), cut[:, 1:].contiguous())

    def load(self) -> Splits:
        return Splits(
            self._windows(self._training_series, self.stride),
            *(self._windows(self._judged(part, self.window), self.window + 1) for part in JUDGED),
        )

    def check(self, batch_size: int = 1, warmup: int = 0) -> None:
        if self.data is None:
            return
        if warmup >= self.steps:
            raise UserError(f"warmup={warmup}: windows of 'forecast' have {self.steps} steps; expected fewer")
        if (count := len(self.splits.training)) < batch_size:
            raise UserError(
                f"forecast: {counted(count, 'training window')} of {self.source.name}: expected at least {batch_size}, "
                "one mini-batch; or a smaller batch_size"
            )
        _ = self.held_out

    @cached_property
    def forcing_interval(self) -> int:
        """The predictability time ln 2 / lambda_1 in steps, from 1 to the window: in it the distance of nearby states
        doubles. lambda_1 is the system's published largest exponent or, where there is none, is estimated from the
        training series. Raises UserError where it is not above 0. Mikhaeil, Monfared, Durstewitz, NeurIPS 2022."""
        largest = self.source.exponents.get(0)
        if largest is not None:
            rate = largest * self.source.interval
        else:
            shortest = min(map(len, self._training_series))
            rate = estimated_exponent(torch.stack([series[:shortest] for series in self._training_series]).numpy())
        if rate <= 0:
            raise UserError(
                f"forcing='lyapunov': the largest exponent of {self.source.name!r} is {rate:.3g} nats per step: "
                "expected one above 0; name the steps instead"
            )
        return min(max(1, round(math.log(2) / rate)), self.window)

    @property
    def exponents_per_step(self) -> dict[int, float]:
        """The published exponents of what made the series, by rank, in nats per step; empty where none are known."""
        return {rank: value * self.source.interval for rank, value in self.source.exponents.items()}

    @cached_property
    def held_out(self) -> HeldOut:
        """What free runs are judged by. Raises UserError where data have no room for a free run."""
        series, read = self.source.free(self._context, self._free_steps)
        whole = self._standardised(series)
        return HeldOut(whole[:, :read], whole[:, read:], self.source.interval, dict(self.source.exponents))

    def illustration(self) -> list[tuple[str, np.ndarray]]:
        return [
            (f"series {number}", series.numpy()[:200])
            for number, series in enumerate(self.held_out.continuation[:4], 1)
        ]

    def statement(self) -> dict[str, Any]:
        return {**super().statement(), **self.source.statement()}


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _check_one_source(data: str | None, **of_systems: Any) -> None:
    """Raise UserError where data are named beside options that are a system's."""
    given = {name: value for name, value in of_systems.items() if value is not None}
    if data is not None and given:
        name, value = next(iter(given.items()))
        raise UserError(
            f"forecast: {name}={value!r} and data={data!r}: expected one of them; the preset own-series takes data"
        )
