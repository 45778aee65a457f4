"""The Rössler system."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.systems.base import Flow, KnownExponents, systems


@systems.register("rossler")
class Rossler(Flow):
    """x' = -y - z, y' = x + a y, z' = b + z (x - c): a spiral that folds back.

    Rössler, An equation for continuous chaos, Physics Letters A 57 (1976).

    >>> Rossler(c=5.7).sample(series=2, steps=10).shape
    torch.Size([2, 10, 3])
    """

    defaults: ClassVar[Mapping[str, float]] = {"a": 0.2, "b": 0.2, "c": 5.7}
    interval = 0.2
    longest_step = 0.02
    transient = 300
    size = 3
    known = (
        KnownExponents(
            {0: 0.0714, 1: 0.0, 2: -5.3943}, 5e-5, "Sprott, Chaos and Time-Series Analysis, 2003, appendix A", {}
        ),
    )

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        x, y = 4 * torch.rand(2, count, generator=source, dtype=torch.float64) - 2
        return torch.stack([x, y, torch.zeros_like(x)], dim=-1)

    def velocity(self, state: Tensor) -> Tensor:
        x, y, z = state.unbind(dim=-1)
        a, b, c = (self.parameters[name] for name in ("a", "b", "c"))
        return torch.stack([-y - z, x + a * y, b + z * (x - c)], dim=-1)
