"""The linear recurrent unit."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.foundation.ranges import Range


@cells.register("lru")
class LinearRecurrentUnit(Cell):
    """x' = lambda x + gamma B u, complex and diagonal, with lambda = exp(-exp(nu) + i exp(theta)) and
    gamma = exp(log_gamma), one each for every unit.

    State: the real part (read out) and the imaginary part of x, each (networks, batch, units); B is stacked real,
    imaginary. The layer around it in the paper, with its nonlinearity, is not part of the cell, so every Lyapunov
    exponent is -exp(nu), twice. nu, theta and log_gamma are always drawn as the authors do: |lambda|^2 uniform in
    (0, 1), the phase uniform in (0, 2 pi), gamma = sqrt(1 - |lambda|^2). Orvieto et al., Resurrecting recurrent neural
    networks for long sequences, 2023, section 3.3 and listing in appendix A.
    """

    parts: ClassVar[tuple[str, ...]] = ("re", "im")
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 2.0)}
    input_weights: ClassVar[str | None] = "B"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"nu": (n,), "theta": (n,), "log_gamma": (n,), "B": (2 * n, f)}

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        drawn = super().initialise(generator, scale, initialiser)
        return drawn if initialiser == "author" else {**drawn, **self._ring(generator)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """B is normal with variance 1 / (2 features), as in the paper's listing (appendix A)."""
        spread = (2 * self.input_size) ** -0.5
        B = torch.empty(2 * self.units, self.input_size).normal_(0, spread, generator=generator)
        return {**self._ring(generator), "B": B}

    def _ring(self, generator: torch.Generator) -> dict[str, Tensor]:
        tiny = torch.finfo(torch.float32).eps
        square, turn = (torch.rand(self.units, generator=generator).clamp(tiny, 1 - tiny) for _ in range(2))
        return {
            "nu": torch.log(-0.5 * torch.log(square)),
            "theta": torch.log(2 * math.pi * turn),
            "log_gamma": 0.5 * torch.log1p(-square),
        }

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        size, phase = torch.exp(-torch.exp(parameters["nu"])), torch.exp(parameters["theta"])
        gamma = torch.exp(parameters["log_gamma"]).repeat(1, 2)
        return {
            "B": gamma.unsqueeze(-1) * parameters["B"],
            "re": (size * torch.cos(phase)).unsqueeze(1),
            "im": (size * torch.sin(phase)).unsqueeze(1),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.bmm(inputs, weights["B"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        (given_re, given_im), re, im = drive.chunk(2, dim=-1), state["re"], state["im"]
        return {
            "re": given_re + weights["re"] * re - weights["im"] * im,
            "im": given_im + weights["im"] * re + weights["re"] * im,
        }

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        re, im = (weights[name].expand_as(state[name]) for name in ("re", "im"))
        blocks = {
            ("re", "re"): Block(diagonal=re),
            ("re", "im"): Block(diagonal=-im),
            ("im", "re"): Block(diagonal=im),
            ("im", "im"): Block(diagonal=re),
        }
        return self.step(weights, drive, state), blocks
