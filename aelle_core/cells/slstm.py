"""The LSTM with exponential gates and a normaliser."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import sigmoid_with_derivative, tanh_with_derivative
from aelle_core.foundation.ranges import Range

_LINEAR = 40.0  # beyond it softplus(x) is x to the last digit of float64


@cells.register("slstm")
class ScalarLSTM(Cell):
    """The sLSTM of xLSTM, i = exp(a_i), f = sigma(a_f), z = tanh(a_z), o = sigma(a_o) with a = W x + R h + b:

        c' = f c + i z          n' = f n + i          h' = o c' / n'

    State: h (read out), y = c / n and s = log n, each (networks, batch, units): the same map, in numbers that neither
    overflow nor need the paper's stabiliser. With w = i / n' = sigma(a_i - log f - s):

        y' = (1 - w) y + w z    s' = log f + s + softplus(a_i - log f - s)    h' = o y'

    W, R and b are stacked in the order i, f, z, o. n starts at 1 (s = 0), in the paper at 0. Beck et al., xLSTM:
    extended long short-term memory, 2024, equations 8 to 14; R is one full block (one head) here.
    """

    parts: ClassVar[tuple[str, ...]] = ("h", "y", "s")
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.0)}
    input_weights: ClassVar[str | None] = "W"
    forget_gate: ClassVar[tuple[str, int] | None] = ("b", 1)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"W": (4 * n, f), "R": (4 * n, n), "b": (4 * n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """W normal with variance 2 / (5 features), R zero, and biases zero but the forget gate's, which fall from 5 to
        -7 as 5 - 12 (j / (units - 1))^0.3 does from unit to unit j: the defaults of the authors' program for a single
        block, github.com/NX-AI/xlstm."""
        n, f = self.units, self.input_size
        places = torch.arange(n) / max(1, n - 1)
        bias = torch.zeros(4, n)
        bias[1] = 5 - 12 * places**0.3
        W = torch.empty(4 * n, f).normal_(0, (0.4 / f) ** 0.5, generator=generator)
        return {"W": W, "R": torch.zeros(4 * n, n), "b": bias.flatten()}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"W": parameters["W"], "R": parameters["R"], "b": parameters["b"].unsqueeze(1)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        a_i, a_f, a_z, a_o = torch.baddbmm(drive, state["h"], weights["R"].mT).chunk(4, dim=-1)
        forgotten = state["s"] - functional.softplus(-a_f, threshold=_LINEAR)  # log f + s
        ahead = a_i - forgotten
        y = torch.lerp(state["y"], torch.tanh(a_z), torch.sigmoid(ahead))
        return {"h": torch.sigmoid(a_o) * y, "y": y, "s": forgotten + functional.softplus(ahead, threshold=_LINEAR)}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        a_i, a_f, a_z, a_o = torch.baddbmm(drive, state["h"], weights["R"].mT).chunk(4, dim=-1)
        forgotten = state["s"] - functional.softplus(-a_f, threshold=_LINEAR)
        ahead = a_i - forgotten
        w, slope_w = sigmoid_with_derivative(ahead)
        kept = torch.sigmoid(-ahead)  # 1 - w
        z, slope_z = tanh_with_derivative(a_z)
        o, slope_o = sigmoid_with_derivative(a_o)
        slope_f = torch.sigmoid(-a_f)  # of log f
        y = kept * state["y"] + w * z
        turned = (z - state["y"]) * slope_w  # d y' / d (a_i - log f - s)
        R_i, R_f, R_z, R_o = weights["R"].unflatten(1, (4, -1)).unbind(dim=1)
        by_h = torch.stack([turned, -turned * slope_f, w * slope_z], dim=2)
        three = torch.stack([R_i, R_f, R_z], dim=1)
        blocks = {
            ("y", "h"): Block(by_h, three),
            ("y", "y"): Block(diagonal=kept),
            ("y", "s"): Block(diagonal=-turned),
            ("s", "h"): Block(torch.stack([w, kept * slope_f], dim=2), torch.stack([R_i, R_f], dim=1)),
            ("s", "s"): Block(diagonal=kept),
            ("h", "h"): Block(
                torch.cat([o.unsqueeze(2) * by_h, (slope_o * y).unsqueeze(2)], dim=2),
                torch.cat([three, R_o.unsqueeze(1)], dim=1),
            ),
            ("h", "y"): Block(diagonal=o * kept),
            ("h", "s"): Block(diagonal=-o * turned),
        }
        return {"h": o * y, "y": y, "s": forgotten + functional.softplus(ahead, threshold=_LINEAR)}, blocks
