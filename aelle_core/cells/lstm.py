"""Long short-term memory."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks, Through
from aelle_core.cells.derivatives import sigmoid_with_derivative, tanh_with_derivative
from aelle_core.foundation.ranges import Range


@cells.register("lstm")
class LSTM(Cell):
    """torch.nn.LSTM's conventions and parameter layout, gates in the order i, f, g, o:

        i, f, o = sigma(W_. x + U_. h + b_.)        g = tanh(W_g x + U_g h + b_g)
        c' = f c + i g                              h' = o tanh(c')

    State: h and c, each (networks, batch, units). Hochreiter & Schmidhuber 1997; Gers et al. 2000.
    """

    parts: ClassVar[tuple[str, ...]] = ("h", "c")
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.04, 1.0)}
    input_weights: ClassVar[str | None] = "weight_ih"
    forget_gate: ClassVar[tuple[str, int] | None] = ("bias_ih", 1)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"weight_ih": (4 * n, f), "weight_hh": (4 * n, n), "bias_ih": (4 * n,), "bias_hh": (4 * n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """torch.nn's own U(-1/sqrt(units), 1/sqrt(units))."""
        return self.uniform_parameters(self.units**-0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "W": parameters["weight_ih"],
            "U": parameters["weight_hh"],
            "b": (parameters["bias_ih"] + parameters["bias_hh"]).unsqueeze(1),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        gates = torch.baddbmm(drive, state["h"], weights["U"].mT)
        n = self.units
        i, f = torch.sigmoid(gates[..., : 2 * n]).chunk(2, dim=-1)
        c = f * state["c"] + i * torch.tanh(gates[..., 2 * n : 3 * n])
        return {"h": torch.sigmoid(gates[..., 3 * n :]) * torch.tanh(c), "c": c}

    def _linear_parts(
        self, weights: Mapping[str, Tensor], drive: Tensor, state: State
    ) -> tuple[State, Tensor, Tensor, Tensor, Tensor]:
        """Return the new state; d c' / d drive of i, f, g, (networks, batch, 3, units); and, (networks, batch, units)
        each, d h' / d drive of o, the gate f itself, and d h' / d c'."""
        a_i, a_f, a_g, a_o = torch.baddbmm(drive, state["h"], weights["U"].mT).chunk(4, dim=-1)
        i, slope_i = sigmoid_with_derivative(a_i)
        f, slope_f = sigmoid_with_derivative(a_f)
        g, slope_g = tanh_with_derivative(a_g)
        o, slope_o = sigmoid_with_derivative(a_o)
        c = f * state["c"] + i * g
        tanh_c, slope_c = tanh_with_derivative(c)
        c_slopes = torch.stack([g * slope_i, state["c"] * slope_f, i * slope_g], dim=2)
        return {"h": o * tanh_c, "c": c}, c_slopes, tanh_c * slope_o, f, o * slope_c

    def drive_slopes(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        _, c_slopes, o_slope, _, h_by_c = self._linear_parts(weights, drive, state)
        return _by_drive(c_slopes, o_slope, h_by_c)

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        return self._linearised(weights, *self._linear_parts(weights, drive, state))

    def linearise_driven(
        self, weights: Mapping[str, Tensor], drive: Tensor, state: State
    ) -> tuple[State, Blocks, dict[str, Tensor]]:
        parts = self._linear_parts(weights, drive, state)
        _, c_slopes, o_slope, _, h_by_c = parts
        return *self._linearised(weights, *parts), _by_drive(c_slopes, o_slope, h_by_c)

    def _linearised(
        self, weights: Mapping[str, Tensor], new: State, c_slopes: Tensor, o_slope: Tensor, f: Tensor, h_by_c: Tensor
    ) -> tuple[State, Blocks]:
        gates = weights["U"].unflatten(1, (4, -1))
        through_c = Through("c", h_by_c)
        blocks = {
            ("h", "h"): Block(o_slope.unsqueeze(2), gates[:, 3:], through=through_c),
            ("h", "c"): Block(through=through_c),
            ("c", "h"): Block(c_slopes, gates[:, :3]),  # o is not in c'
            ("c", "c"): Block(diagonal=f),
        }
        return new, blocks


def _by_drive(c_slopes: Tensor, o_slope: Tensor, h_by_c: Tensor) -> dict[str, Tensor]:
    """Return d new part / d drive, gate by gate."""
    own = o_slope.unsqueeze(2)
    return {
        "c": torch.cat([c_slopes, torch.zeros_like(own)], dim=2),
        "h": torch.cat([h_by_c.unsqueeze(2) * c_slopes, own], dim=2),
    }
