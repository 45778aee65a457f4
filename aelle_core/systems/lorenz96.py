"""The Lorenz model of 1996: a chain of sites around a circle of latitude."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.systems.base import Flow, KnownExponents, systems


@systems.register("lorenz96")
class Lorenz96(Flow):
    """x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + forcing, for `sites` sites on a ring. The exponents' sum is -sites.

    Lorenz, Predictability: a problem partly solved, ECMWF 1996; Lorenz & Emanuel, J. Atmos. Sci. 55 (1998).

    >>> Lorenz96(sites=8).sample(series=2, steps=10).shape
    torch.Size([2, 10, 8])
    """

    defaults: ClassVar[Mapping[str, float]] = {"sites": 40, "forcing": 8.0}
    interval = 0.05
    longest_step = 0.025
    known = (
        KnownExponents(
            {0: 1.65},
            0.04,
            "Lorenz & Emanuel, J. Atmos. Sci. 55 (1998), section 3: errors double in 2.1 days, of which 5 are a unit",
            {},
        ),
    )

    def __init__(self, *, interval: float | None = None, **parameters: float) -> None:
        super().__init__(interval=interval, **parameters)
        sites = self.parameters["sites"]
        if sites != int(sites) or not 4 <= sites <= 10_000:
            raise UserError(f"lorenz96: sites={sites!r}: expected a whole number from 4 to 10000")

    @property
    def size(self) -> int:
        return int(self.parameters["sites"])

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        return self.parameters["forcing"] + torch.randn(count, self.size, generator=source, dtype=torch.float64)

    def velocity(self, state: Tensor) -> Tensor:
        ahead, behind, before = state.roll(-1, -1), state.roll(1, -1), state.roll(2, -1)
        return (ahead - before) * behind - state + self.parameters["forcing"]
