"""The Lorenz system of 1963."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.systems.base import Flow, KnownExponents, systems


@systems.register("lorenz63")
class Lorenz63(Flow):
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z: convection rolls.

    Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963).

    >>> Lorenz63().sample(series=4, steps=100, seed=1, noise=0.01).shape
    torch.Size([4, 100, 3])
    """

    defaults: ClassVar[Mapping[str, float]] = {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}
    interval = 0.05
    transient = 300
    size = 3
    known = (
        KnownExponents(
            {0: 0.9056, 1: 0.0, 2: -14.5723}, 5e-5, "Sprott, Chaos and Time-Series Analysis, 2003, appendix A", {}
        ),
        KnownExponents(
            {0: 1.497, 1: 0.0, 2: -22.458},
            0.035,
            "Wolf, Swift, Swinney, Vastano, Physica D 16 (1985), table 1: 2.16, 0.00, -32.4 bits per unit of time",
            {"sigma": 16.0, "rho": 45.92, "beta": 4.0},
        ),
    )

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        centre = torch.tensor([0.0, 0.0, 25.0], dtype=torch.float64)
        return centre + 5 * torch.randn(count, 3, generator=source, dtype=torch.float64)

    def velocity(self, state: Tensor) -> Tensor:
        x, y, z = state.unbind(dim=-1)
        sigma, rho, beta = (self.parameters[name] for name in ("sigma", "rho", "beta"))
        return torch.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], dim=-1)
