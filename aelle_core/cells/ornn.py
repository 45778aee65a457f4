"""The orthogonal network."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import tanh_with_derivative
from aelle_core.cells.exponential import skew_exponential
from aelle_core.foundation.ranges import Range


@cells.register("ornn")
class OrthogonalRNN(Cell):
    """h' = tanh(O h + V x + b) with O = exp(S - S^T) orthogonal, whatever the trained matrix S is.

    State: h (networks, batch, units). Lezcano-Casado & Martinez-Rubio, Cheap orthogonal constraints in neural
    networks, 2019, section 3.
    """

    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.5)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (n, f), "S": (n, n), "b": (n,)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        S = parameters["S"]
        return {"V": parameters["V"], "b": parameters["b"].unsqueeze(1), "O": skew_exponential(S - S.mT)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return {"h": torch.tanh(torch.baddbmm(drive, state["h"], weights["O"].mT))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        h, slope = tanh_with_derivative(torch.baddbmm(drive, state["h"], weights["O"].mT))
        return {"h": h}, {("h", "h"): Block(slope.unsqueeze(2), weights["O"].unsqueeze(1))}
