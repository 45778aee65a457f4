"""The forced Duffing oscillator with two wells."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.systems.base import Flow, KnownExponents, systems


@systems.register("duffing")
class Duffing(Flow):
    """x' = v, v' = x - x^3 - damping v + amplitude sin(p), p' = frequency: a ball between two wells, shaken.

    State (x, v, p); observed are x, v, cos p and sin p, which stay bounded. The exponents' sum is -damping.
    Duffing 1918; Moon & Holmes, A magnetoelastic strange attractor, J. Sound Vib. 65 (1979).

    >>> Duffing().sample(series=2, steps=10).shape
    torch.Size([2, 10, 4])
    """

    defaults: ClassVar[Mapping[str, float]] = {"damping": 0.25, "amplitude": 0.4, "frequency": 1.0}
    interval = 0.2
    longest_step = 0.05
    size = 3
    known = (
        KnownExponents(
            {0: 0.1572, 1: 0.0, 2: -0.4072}, 5e-4, "Sprott, Chaos and Time-Series Analysis, 2003, appendix A", {}
        ),
    )

    @property
    def features(self) -> int:
        return 4

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        x, v = torch.randn(2, count, generator=source, dtype=torch.float64)
        phase = 2 * torch.pi * torch.rand(count, generator=source, dtype=torch.float64)
        return torch.stack([x, v, phase], dim=-1)

    def velocity(self, state: Tensor) -> Tensor:
        x, v, phase = state.unbind(dim=-1)
        damping, amplitude, frequency = (self.parameters[name] for name in ("damping", "amplitude", "frequency"))
        force = x - x * x * x - damping * v + amplitude * torch.sin(phase)
        return torch.stack([v, force, torch.full_like(v, frequency)], dim=-1)

    def observe(self, state: Tensor) -> Tensor:
        phase = state[..., 2:]
        return torch.cat([state[..., :2], torch.cos(phase), torch.sin(phase)], dim=-1)
