"""What a known system is: an equation that advances states, a sampler, and exponents that others have published."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.registry import Registry
from aelle_core.foundation.whole_numbers import check_whole


@dataclass(frozen=True)
class KnownExponents:
    """Published Lyapunov exponents, in nats per unit of the system's time.

    exponents   by rank (from 0), in nats per unit of time: papers do not print all of them
    tolerance   half a unit of the last digit that the source prints, or the error that it states
    source      where they are published
    parameters  the parameters that they belong to, where these are not the system's defaults
    """

    exponents: Mapping[int, float]
    tolerance: float
    source: str
    parameters: Mapping[str, float]

    @property
    def largest(self) -> float | None:
        """The largest exponent, nats per unit of time; None where the source does not have it."""
        return self.exponents.get(0)


class KnownSystem(ABC):
    """A dynamical system seen at equal intervals of time. As a function it is the map step(x, state) -> state that
    `lyapunov_spectrum` takes: x is ignored, states are (batch, size), and torch can differentiate it.

    `interval` is the time between two states (1 for maps); `parameters` overrule the defaults of the equation. Raises
    UserError on unknown parameters and on numbers that are not finite.
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, float]]
    interval: float = 1.0
    transient: ClassVar[int] = 1000  # steps from a start until states are on the attractor
    known: ClassVar[tuple[KnownExponents, ...]] = ()

    def __init__(self, *, interval: float | None = None, **parameters: float) -> None:
        if unknown := sorted(set(parameters) - set(self.defaults)):
            raise UserError(
                f"system {self.name!r} has no parameter {unknown[0]!r}: expected {', '.join(self.defaults)}"
            )
        self.parameters = {**self.defaults, **parameters}
        if interval is not None:
            self.interval = interval
        for label, value in {"interval": self.interval, **self.parameters}.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(f"{self.name}: {label}={value!r}: expected a finite number")
        if self.interval <= 0:
            raise UserError(f"{self.name}: interval={interval!r}: expected a time above 0")

    @property
    @abstractmethod
    def size(self) -> int:
        """Dimensions of the state."""

    @property
    def features(self) -> int:
        """How many numbers are observed at a time."""
        return self.size

    @abstractmethod
    def advance(self, state: Tensor) -> Tensor:
        """Return the states (batch, size) one interval later."""

    @abstractmethod
    def draw(self, count: int, source: torch.Generator) -> Tensor:
        """Return `count` states (count, size), float64, from which trajectories reach the attractor."""

    def observe(self, state: Tensor) -> Tensor:
        """Return what is seen of states (..., size): (..., features)."""
        return state

    def __call__(self, x: Tensor | None, state: Tensor) -> Tensor:
        return self.advance(state)

    def on_attractor(self, count: int, *, seed: int = 0) -> Tensor:
        """Return `count` states (count, size), float64, after the transient; the same for the same seed."""
        state = self.draw(count, generator(seed, f"system/{self.name}/start"))
        for _ in range(self.transient):
            state = self.advance(state)
        return state

    def sample(self, series: int, steps: int, *, seed: int = 0, noise: float = 0.0) -> Tensor:
        """Return observed series (series, steps, features), float64, each from its own state on the attractor.

        `noise` is the standard deviation of independent normal errors of observation, as a share of each feature's
        standard deviation. Raises UserError on sizes below 1 and on negative noise.
        """
        for label, value in (("series", series), ("steps", steps)):
            check_whole(f"{self.name}: {label}", value, 1)
        if not 0 <= noise < math.inf:
            raise UserError(f"{self.name}: noise={noise!r}: expected a number of at least 0")
        state, seen = self.on_attractor(series, seed=seed), []
        for _ in range(steps):
            seen.append(self.observe(state))
            state = self.advance(state)
        observed = torch.stack(seen, dim=1)
        if noise:
            source = generator(seed, f"system/{self.name}/noise")
            errors = torch.randn(observed.shape, generator=source, dtype=torch.float64)
            observed = observed + noise * observed.flatten(0, 1).std(dim=0) * errors
        return observed

    @property
    def published(self) -> KnownExponents | None:
        """The exponents that are published for these parameters; None where none are."""
        for reference in self.known:
            if {**self.defaults, **reference.parameters} == self.parameters:
                return reference
        return None

    def statement(self) -> dict[str, Any]:
        """Return what a result says about the system."""
        return {"system": self.name, "interval": self.interval, "parameters": dict(self.parameters)}


class Flow(KnownSystem):
    """A differential equation, taken from one sample to the next by classical Runge-Kutta steps of fourth order."""

    longest_step: ClassVar[float] = 0.01

    def __init__(self, *, interval: float | None = None, **parameters: float) -> None:
        super().__init__(interval=interval, **parameters)
        self.substeps = max(1, math.ceil(self.interval / self.longest_step - 1e-9))

    @abstractmethod
    def velocity(self, state: Tensor) -> Tensor:
        """Return d state / d time (batch, size)."""

    def advance(self, state: Tensor) -> Tensor:
        step = self.interval / self.substeps
        for _ in range(self.substeps):
            first = self.velocity(state)
            second = self.velocity(state + step / 2 * first)
            third = self.velocity(state + step / 2 * second)
            fourth = self.velocity(state + step * third)
            state = state + step / 6 * (first + 2 * second + 2 * third + fourth)
        return state


systems: Registry[KnownSystem] = Registry("system", "aelle_core.systems")
