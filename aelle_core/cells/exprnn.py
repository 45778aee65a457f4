"""The orthogonal network with its authors' nonlinearity."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.exponential import skew_exponential
from aelle_core.foundation.ranges import Range


@cells.register("exprnn")
class ExponentialRNN(Cell):
    """h' = modrelu(a) = sign(a) max(|a| + b, 0) with a = O h + V x and O = exp(S - S^T) orthogonal.

    State: h (networks, batch, units). `ornn` is the same network with tanh(a + b), which Vogt et al. 2024 trained.
    Where no unit is silent the Jacobian is O itself and every exponent 0. Lezcano-Casado & Martinez-Rubio, Cheap
    orthogonal constraints in neural networks, 2019, section 3; modReLU: Arjovsky et al., Unitary evolution recurrent
    neural networks, 2016, equation 8.
    """

    exact_zeros: ClassVar[bool] = True
    kinked: ClassVar[bool] = True
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.5)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (n, f), "S": (n, n), "b": (n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """S - S^T has 2 x 2 blocks with U(-pi, pi) on the diagonal (Henaff et al. 2016), V is He's normal, and b is
        U(-0.01, 0.01): henaff_init_, ExpRNN and modrelu in the authors' program, github.com/lezcano/expRNN."""
        n, f = self.units, self.input_size
        S = torch.zeros(n, n)
        pairs = torch.arange(0, n - 1, 2)
        S[pairs, pairs + 1] = torch.empty(len(pairs)).uniform_(-math.pi, math.pi, generator=generator)
        V = torch.empty(n, f).normal_(0, (2 / f) ** 0.5, generator=generator)
        return {"V": V, "S": S, "b": torch.empty(n).uniform_(-0.01, 0.01, generator=generator)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        S = parameters["S"]
        return {"V": parameters["V"], "b": parameters["b"].unsqueeze(1), "O": skew_exponential(S - S.mT)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.bmm(inputs, weights["V"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        a = torch.baddbmm(drive, state["h"], weights["O"].mT)
        sign = torch.sign(a)
        return {"h": sign * torch.relu(a * sign + weights["b"])}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        a = torch.baddbmm(drive, state["h"], weights["O"].mT)
        size = a.abs() + weights["b"]
        slope = ((size > 0) & (a != 0)).to(a.dtype)
        new = torch.sign(a) * torch.relu(size)
        return {"h": new}, {("h", "h"): Block(slope.unsqueeze(2), weights["O"].unsqueeze(1))}

    def switching_functions(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Tensor:
        """Return |a| + b, (networks, batch, units), by whose sign a unit is silent, or a itself where b > 0: there the
        state jumps at a = 0. Infinite where all of a are 0, as before the first input: nothing was added up there."""
        a, b = torch.baddbmm(activations["drive"], state["h"], weights["O"].mT), weights["b"]
        a = a.masked_fill((a == 0).all(dim=-1, keepdim=True), math.inf)
        return torch.where(b > 0, a, a.abs() + b)
