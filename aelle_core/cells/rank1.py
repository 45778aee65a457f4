"""The rate network with a rank-one feedback loop."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks, Columns
from aelle_core.cells.derivatives import tanh_with_derivative
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.ranges import Range

DENSITY = 0.1


@cells.register("rank1")
class RankOneNetwork(Cell):
    """x' = (1 - dt) x + dt (M tanh(x) + w_f z + U u), z = w_o . tanh(x); dt is the constant `step`.

    State: x (networks, batch, units). M is sparse: each entry is there with probability 0.1 and then drawn from
    N(0, g^2 / (0.1 units)), where the gain g is the initial `scale`; w_f and U are uniform in (-1, 1), and w_o, the
    readout that feeds back, starts at zero. Silent below g = 1, chaotic above, until w_o is trained. Without inputs
    (u = 0) it is autonomous.

    Sussillo & Abbott, Generating coherent patterns of activity from chaotic neural networks, Neuron 2009, equation 1
    (figure 1A's architecture; U for the control inputs of its figure 4), in Euler steps.
    """

    parts: ClassVar[tuple[str, ...]] = ("x",)
    defaults: ClassVar[Mapping[str, float]] = {"step": 0.1}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.8, 2.2, "linear")}
    input_weights: ClassVar[str | None] = "U"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"M": (n, n), "w_f": (n,), "w_o": (n,), "U": (n, f)}

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        """M, w_f, w_o and U of one network as the class says, float32; `scale` is the gain g. Raises UserError for
        another `initialiser`: the cell has a distribution of its own."""
        if initialiser != "uniform":
            raise UserError(f"initialiser={initialiser!r}: cell 'rank1' has a distribution of its own; expected none")
        n, f = self.units, self.input_size
        present = torch.rand(n, n, generator=generator) < DENSITY
        return {
            "M": present * torch.randn(n, n, generator=generator) * (scale / (DENSITY * n) ** 0.5),
            "w_f": torch.empty(n).uniform_(-1, 1, generator=generator),
            "w_o": torch.zeros(n),
            "U": torch.empty(n, f).uniform_(-1, 1, generator=generator),
        }

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        feedback = parameters["w_f"].unsqueeze(2) * parameters["w_o"].unsqueeze(1)
        loop = {"loop_transposed": (parameters["M"] + feedback).mT.contiguous()}
        return {**constants, **loop, **{name: parameters[name] for name in ("M", "w_f", "w_o", "U")}}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.bmm(inputs, weights["U"].mT)

    def _advance(self, weights: Mapping[str, Tensor], drive: Tensor, x: Tensor, rates: Tensor) -> Tensor:
        return (1 - weights["step"]) * x + weights["step"] * torch.baddbmm(drive, rates, weights["loop_transposed"])

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return {"x": self._advance(weights, drive, state["x"], torch.tanh(state["x"]))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        x, dt = state["x"], weights["step"]
        rates, slope = tanh_with_derivative(x)

        # d x' / d x = (1 - dt) I + dt (M + w_f w_o^T) diag(slope): M stays sparse, and w_f w_o^T two vectors.
        columns = Columns(
            (dt * slope).unsqueeze(2),
            weights["M"].unsqueeze(1),
            rights=(dt * slope * weights["w_o"].unsqueeze(1)).unsqueeze(2),
            lefts=weights["w_f"].unsqueeze(1),
        )
        block = Block(diagonal=(1 - dt).expand_as(x), columns=columns)
        return {"x": self._advance(weights, drive, x, rates)}, {("x", "x"): block}
