"""A cell of somebody else's, as a script for `--plugin`: its step uses a function that the compiler does not know."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aelle_core.cells import Block, Blocks, Cell, State, cells


@cells.register("arctangent")
class Arctangent(Cell):
    """h' = atan(W x + U h + b). State: h (networks, batch, units)."""

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"W": (self.units, self.input_size), "U": (self.units, self.units), "b": (self.units,)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"W": parameters["W"], "U": parameters["U"], "b": parameters["b"].unsqueeze(1)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return {"h": torch.atan(torch.baddbmm(drive, state["h"], weights["U"].mT))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        a = torch.baddbmm(drive, state["h"], weights["U"].mT)
        slopes = 1 / (1 + a.square())
        return {"h": torch.atan(a)}, {("h", "h"): Block(slopes.unsqueeze(2), weights["U"].unsqueeze(1))}
