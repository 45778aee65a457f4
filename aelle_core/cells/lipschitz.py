"""The Lipschitz network."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import tanh_with_derivative
from aelle_core.foundation.ranges import Range


@cells.register("lipschitz")
class LipschitzRNN(Cell):
    """h' = h + e (A h + tanh(W h + U x + b)), where A and W each are
    (1 - beta) (M + M^T) + beta (M - M^T) - gamma I of a matrix M of their own; e is the constant `step`.

    State: h (networks, batch, units). Erichson et al., Lipschitz recurrent neural networks, 2021, equations 3, 5. The
    authors' code multiplies by matrices from the right, h A: with M_A and M_W transposed, its weights give the same
    states to rounding (1e-15).
    """

    defaults: ClassVar[Mapping[str, float]] = {"step": 0.1, "beta": 0.75, "gamma": 0.001}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 0.9), "step": Range(0.03, 1.0)}
    input_weights: ClassVar[str | None] = "U"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"U": (n, f), "M_A": (n, n), "M_W": (n, n), "b": (n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """M_A and M_W are N(0, 1 / units^2) (gaussian_init_, its init_std at 1); U and b are torch.nn.Linear's own, as
        in the authors' program, github.com/erichson/LipschitzRNN (models.py; an earlier version drew U by Xavier's
        rule)."""
        n, f = self.units, self.input_size
        drawn = {name: torch.empty(n, n).normal_(0, 1 / n, generator=generator) for name in ("M_A", "M_W")}
        bound = f**-0.5
        U = torch.empty(n, f).uniform_(-bound, bound, generator=generator)
        return {"U": U, **drawn, "b": torch.empty(n).uniform_(-bound, bound, generator=generator)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        beta, gamma = constants["beta"], constants["gamma"]
        identity = torch.eye(self.units, dtype=parameters["M_A"].dtype, device=parameters["M_A"].device)

        def blend(M: Tensor) -> Tensor:
            return (1 - beta) * (M + M.mT) + beta * (M - M.mT) - gamma * identity

        return {
            **constants,
            "U": parameters["U"],
            "b": parameters["b"].unsqueeze(1),
            "A": blend(parameters["M_A"]),
            "W": blend(parameters["M_W"]),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["U"].mT)

    def drift(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> Tensor:
        """Return A h + tanh(W h + U x + b), (networks, batch, units)."""
        h = state["h"]
        return torch.baddbmm(torch.tanh(torch.baddbmm(drive, h, weights["W"].mT)), h, weights["A"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return {"h": torch.addcmul(state["h"], weights["step"], self.drift(weights, drive, state))}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        h = state["h"]
        value, slope = tanh_with_derivative(torch.baddbmm(drive, h, weights["W"].mT))
        slopes = weights["step"].unsqueeze(2) * torch.stack([slope, torch.ones_like(slope)], dim=2)
        matrices = torch.stack([weights["W"], weights["A"]], dim=1)
        new = torch.addcmul(h, weights["step"], torch.baddbmm(value, h, weights["A"].mT))
        return {"h": new}, {("h", "h"): Block(slopes, matrices, diagonal=torch.ones_like(h))}
