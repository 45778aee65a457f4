"""The Mackey-Glass equation: feedback with a delay."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.systems.base import KnownExponents, KnownSystem, systems


@systems.register("mackey_glass")
class MackeyGlass(KnownSystem):
    """x'(t) = production x(t - delay) / (1 + x(t - delay)^power) - decay x(t): the number of blood cells.

    The state is the history x(t - delay), ..., x(t) at `points` equal steps, oldest first; observed is x(t) alone.
    Runge-Kutta steps of fourth order; the delayed value in the middle of a step is that of the cubic through four
    neighbouring points, of the same order. `interval` must be a whole number of steps delay / (points - 1).

    Mackey & Glass, Oscillation and chaos in physiological control systems, Science 197 (1977).

    >>> MackeyGlass().sample(series=2, steps=10).shape
    torch.Size([2, 10, 1])
    """

    defaults: ClassVar[Mapping[str, float]] = {
        "delay": 17.0,
        "production": 0.2,
        "decay": 0.1,
        "power": 10.0,
        "points": 35,
    }
    interval = 1.0
    transient = 1500
    known = (
        KnownExponents(
            {0: 0.00956, 1: 0.0, 2: -0.0119, 3: -0.0344},
            5e-5,
            "Farmer, Physica D 4 (1982), table 1",
            {"delay": 23.0, "points": 47},
        ),
    )

    def __init__(self, *, interval: float | None = None, **parameters: float) -> None:
        super().__init__(interval=interval, **parameters)
        points = self.parameters["points"]
        if points != int(points) or not 6 <= points <= 100_000:
            raise UserError(f"mackey_glass: points={points!r}: expected a whole number from 6 to 100000")
        self.step = self.parameters["delay"] / (self.size - 1)
        self.substeps = round(self.interval / self.step) if self.step > 0 else 0
        if self.substeps < 1 or abs(self.substeps * self.step - self.interval) > 1e-9:
            raise UserError(
                f"mackey_glass: interval={self.interval:g}, delay={self.parameters['delay']:g}, points={points:g}: "
                f"expected a whole number of steps of delay / (points - 1) = {self.step:g}"
            )

    @property
    def size(self) -> int:
        return int(self.parameters["points"])

    @property
    def features(self) -> int:
        return 1

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        levels = 0.5 + torch.rand(count, 1, generator=source, dtype=torch.float64)
        return levels.repeat(1, self.size)

    def _velocity(self, now: Tensor, delayed: Tensor) -> Tensor:
        power = self.parameters["power"]
        raised = delayed.abs().pow(power)
        return self.parameters["production"] * delayed / (1 + raised) - self.parameters["decay"] * now

    def advance(self, state: Tensor) -> Tensor:
        for _ in range(self.substeps):
            now, old, next_old = state[..., -1], state[..., 0], state[..., 1]
            # The cubic through the points at 0, 1, 2 and 3, in the middle of the first two.
            middle = (5 * old + 15 * next_old - 5 * state[..., 2] + state[..., 3]) / 16
            first = self._velocity(now, old)
            second = self._velocity(now + self.step / 2 * first, middle)
            third = self._velocity(now + self.step / 2 * second, middle)
            fourth = self._velocity(now + self.step * third, next_old)
            new = now + self.step / 6 * (first + 2 * second + 2 * third + fourth)
            state = torch.cat([state[..., 1:], new.unsqueeze(-1)], dim=-1)
        return state

    def observe(self, state: Tensor) -> Tensor:
        return state[..., -1:]
