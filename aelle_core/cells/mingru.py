"""The minimal gated recurrent unit."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.foundation.ranges import Range


@cells.register("mingru")
class MinimalGRU(Cell):
    """h' = (1 - z) h + z (V_h x + b_h) with z = sigma(V_z x + b_z): gates that see the input alone.

    State: h (networks, batch, units). V and b are stacked in the order z, h. The step is linear in h, its Jacobian
    diagonal: diag(1 - z). Feng et al., Were RNNs all we needed?, 2024, section 3.1.
    """

    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 2.0)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (2 * n, f), "b": (2 * n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """torch.nn.Linear's own U(-1/sqrt(features), 1/sqrt(features)), as in the paper's listing."""
        return self.uniform_parameters(self.input_size**-0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"V": parameters["V"], "b": parameters["b"].unsqueeze(1)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        a_z, candidate = drive.chunk(2, dim=-1)
        return {"h": torch.lerp(state["h"], candidate, torch.sigmoid(a_z))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        a_z, candidate = drive.chunk(2, dim=-1)
        kept = torch.sigmoid(-a_z)  # 1 - z, with its digits where z rounds to 1
        return {"h": kept * state["h"] + torch.sigmoid(a_z) * candidate}, {("h", "h"): Block(diagonal=kept)}
