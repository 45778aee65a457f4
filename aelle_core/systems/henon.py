"""The Hénon map."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.systems.base import KnownExponents, KnownSystem, systems


@systems.register("henon")
class Henon(KnownSystem):
    """x' = 1 - a x^2 + y, y' = b x. The exponents' sum is log b at every step.

    Hénon, A two-dimensional mapping with a strange attractor, Commun. Math. Phys. 50 (1976).

    >>> Henon().sample(series=2, steps=10).shape
    torch.Size([2, 10, 2])
    """

    defaults: ClassVar[Mapping[str, float]] = {"a": 1.4, "b": 0.3}
    size = 2
    known = (
        KnownExponents({0: 0.41922, 1: -1.62319}, 5e-6, "Sprott, Chaos and Time-Series Analysis, 2003, appendix A", {}),
    )

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        return 0.2 * torch.rand(count, 2, generator=source, dtype=torch.float64) - 0.1

    def advance(self, state: Tensor) -> Tensor:
        x, y = state.unbind(dim=-1)
        return torch.stack([1 - self.parameters["a"] * x * x + y, self.parameters["b"] * x], dim=-1)
