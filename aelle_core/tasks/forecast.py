"""Forecasting: the next step of a system's series, and then all that follow."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import stream_seed
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.systems import KnownSystem, get_system
from aelle_core.systems.divergence import estimated_exponent
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits
from aelle_core.tasks.supervised import Regression


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
class Forecast(Regression):
    """The next step of a known system (aelle_core.systems).

    system, parameters, interval  which system, at which parameters, how much time between two steps
    noise       of observation, as a share of each feature's standard deviation
    series      how many series are trained on, of `length` steps each; a quarter as many (at least 4) validate, as many
                test, and as many hold what free runs are judged by
    window      steps that a network is trained along, from a state of zeros; windows start every `stride` steps
    context     steps that a network reads before it runs freely, for `free_steps`
    loop_steps  how many of these a closed-loop spectrum is taken along, after `loop_warmup` that turn the tangents

    Features are standardised by the training series. Each purpose has its own series, from its own states on the
    attractor. Free runs are judged by clean series: what is observed with noise is trained on alone.
    """

    trainer: ClassVar[str] = "forecast"
    readout = "every"
    loss_name: ClassVar[str] = "one-step mean squared error"

    def __init__(
        self,
        *,
        seed: int = 0,
        system: str = "lorenz63",
        parameters: dict[str, float] | None = None,
        interval: float | None = None,
        noise: float = 0.0,
        series: int = 16,
        length: int = 1200,
        window: int = 40,
        stride: int = 10,
        context: int = 100,
        free_steps: int = 1000,
        loop_steps: int = 600,
        loop_warmup: int = 100,
    ) -> None:
        super().__init__(seed=seed)
        counts = {
            "series": (series, 1, 100_000),
            "length": (length, 3, 10_000_000),
            "window": (window, 2, length - 1),
            "stride": (stride, 1, length),
            "context": (context, 1, 1_000_000),
            "free_steps": (free_steps, 20, 1_000_000),
            "loop_steps": (loop_steps, 1, 1_000_000),
            "loop_warmup": (loop_warmup, 0, 1_000_000),
        }
        for label, (value, low, high) in counts.items():
            check_whole(f"forecast: {label}", value, low, high)
        if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < 100:
            raise UserError(f"forecast: noise={noise!r}: expected a number from 0 to 100")
        self.system: KnownSystem = get_system(system, interval=interval, **(parameters or {}))
        self.noise, self.series, self.length, self.window, self.stride = noise, series, length, window, stride
        self.context, self.free_steps = context, free_steps
        self.loop_steps, self.loop_warmup = loop_steps, loop_warmup

    @property
    def input_size(self) -> int:
        return self.system.features

    @property
    def outputs(self) -> int:
        return self.system.features

    @property
    def steps(self) -> int:
        return self.window

    @property
    def _held_out_series(self) -> int:
        return max(4, self.series // 4)

    def _sample(self, purpose: str, series: int, steps: int, noise: float) -> Tensor:
        seed = stream_seed(self.seed, f"forecast/{purpose}") % 2**32
        return self.system.sample(series, steps, seed=seed, noise=noise)

    @cached_property
    def _training_series(self) -> Tensor:
        return self._sample("training", self.series, self.length, self.noise)

    def _standardised(self, series: Tensor) -> Tensor:
        known = self._training_series.flatten(0, 1)
        spread = known.std(dim=0)
        return ((series - known.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)).float()

    def _windows(self, series: Tensor, stride: int) -> Examples:
        cut = self._standardised(series).unfold(1, self.window + 1, stride).flatten(0, 1).mT
        return Examples(cut[:, :-1].contiguous(), cut[:, 1:].contiguous())

    def load(self) -> Splits:
        length = min(self.length, 10 * (self.window + 1))
        parts = [self._sample(name, self._held_out_series, length, self.noise) for name in ("validation", "test")]
        return Splits(
            self._windows(self._training_series, self.stride),
            *(self._windows(part, self.window + 1) for part in parts),
        )

    @cached_property
    def forcing_interval(self) -> int:
        """The predictability time ln 2 / lambda_1 in steps, from 1 to the window: in it the distance of nearby states
        doubles. lambda_1 is the system's published largest exponent or, where there is none, is estimated from the
        training series. Raises UserError where it is not above 0. Mikhaeil, Monfared, Durstewitz, NeurIPS 2022."""
        known = self.system.published
        rate = None if known is None or known.largest is None else known.largest * self.system.interval
        if rate is None:
            rate = estimated_exponent(self._training_series.numpy())
        if rate <= 0:
            raise UserError(
                f"forcing='lyapunov': the largest exponent of {self.system.name!r} is {rate:.3g} nats per step: "
                "expected one above 0; name the steps instead"
            )
        return min(max(1, round(math.log(2) / rate)), self.window)

    @cached_property
    def held_out(self) -> HeldOut:
        """What free runs are judged by."""
        series = 2 * self._held_out_series
        whole = self._standardised(self._sample("free runs", series, self.context + self.free_steps, 0.0))
        known = self.system.published
        exponents = {} if known is None else dict(known.exponents)
        return HeldOut(whole[:, : self.context], whole[:, self.context :], self.system.interval, exponents)

    def illustration(self) -> list[tuple[str, np.ndarray]]:
        return [
            (f"series {number}", series.numpy()[:200])
            for number, series in enumerate(self.held_out.continuation[:4], 1)
        ]

    def statement(self) -> dict[str, Any]:
        return {**super().statement(), **self.system.statement(), "noise": self.noise}
