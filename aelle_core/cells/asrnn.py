"""The antisymmetric network."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import tanh_with_derivative
from aelle_core.foundation.ranges import Range


@cells.register("asrnn")
class AntisymmetricRNN(Cell):
    """h' = h + e tanh((C - C^T - g I) h + V x + b), with step e (`step`) and diffusion g (`gamma`).

    State: h (networks, batch, units). Chang, Chen, Haber, Chi, AntisymmetricRNN, 2019, equation 9.
    """

    defaults: ClassVar[Mapping[str, float]] = {"step": 0.1, "gamma": 0.01}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.5), "step": Range(0.03, 1.0)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (n, f), "C": (n, n), "b": (n,)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        C = parameters["C"]
        identity = torch.eye(self.units, dtype=C.dtype, device=C.device)
        return {
            "V": parameters["V"],
            "b": parameters["b"].unsqueeze(1),
            "A": C - C.mT - constants["gamma"] * identity,
            "step": constants["step"],
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        a = torch.baddbmm(drive, state["h"], weights["A"].mT)
        return {"h": torch.addcmul(state["h"], weights["step"], torch.tanh(a))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        value, slope = tanh_with_derivative(torch.baddbmm(drive, state["h"], weights["A"].mT))
        h = torch.addcmul(state["h"], weights["step"], value)
        block = Block((weights["step"] * slope).unsqueeze(2), weights["A"].unsqueeze(1), diagonal=torch.ones_like(h))
        return {"h": h}, {("h", "h"): block}
