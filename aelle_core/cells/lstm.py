"""Long short-term memory."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.activated import ActivatedCell
from aelle_core.cells.base import State, cells
from aelle_core.cells.blocks import Block, Blocks, Through
from aelle_core.cells.derivatives import tanh_derivative
from aelle_core.foundation.ranges import Range


@cells.register("lstm")
class LSTM(ActivatedCell):
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

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return all pre-activations, (networks, batch, 4 units), as `a`; the gates i and f side by side; and of shape
        (networks, batch, units) g, o, c' and its tanh."""
        a, n = torch.baddbmm(drive, state["h"], weights["U"].mT), self.units
        i_f, g, o = torch.sigmoid(a[..., : 2 * n]), torch.tanh(a[..., 2 * n : 3 * n]), torch.sigmoid(a[..., 3 * n :])
        c = torch.addcmul(i_f[..., n:] * state["c"], i_f[..., :n], g)
        return {"a": a, "i_f": i_f, "g": g, "o": o, "c": c, "tanh_c": torch.tanh(c)}

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        return {"h": activations["o"] * activations["tanh_c"], "c": activations["c"]}

    def _slopes(self, activations: Mapping[str, Tensor], state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Return d c' / d drive of i, f, g, (networks, batch, 3, units), and, (networks, batch, units) each, d h' / d
        drive of o, and d h' / d c'."""
        n = self.units
        (i, f), g, o, a = activations["i_f"].chunk(2, dim=-1), activations["g"], activations["o"], activations["a"]
        one_minus_i, one_minus_f = torch.sigmoid(-a[..., : 2 * n]).chunk(2, dim=-1)
        slope_o = o * torch.sigmoid(-a[..., 3 * n :])
        by_i, by_f = g * (i * one_minus_i), state["c"] * (f * one_minus_f)
        c_slopes = torch.stack([by_i, by_f, i * tanh_derivative(a[..., 2 * n : 3 * n])], dim=2)
        return c_slopes, activations["tanh_c"] * slope_o, o * tanh_derivative(activations["c"])

    def linearise_activated(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Blocks:
        return self._blocks(weights, activations, *self._slopes(activations, state))

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        slopes = self._slopes(activations, state)
        return self._blocks(weights, activations, *slopes), _by_drive(*slopes)

    def _blocks(
        self,
        weights: Mapping[str, Tensor],
        activations: Mapping[str, Tensor],
        c_slopes: Tensor,
        o_slope: Tensor,
        h_by_c: Tensor,
    ) -> Blocks:
        gates = weights["U"].unflatten(1, (4, -1))
        through_c = Through("c", h_by_c)
        return {
            ("h", "h"): Block(o_slope.unsqueeze(2), gates[:, 3:], through=through_c),
            ("h", "c"): Block(through=through_c),
            ("c", "h"): Block(c_slopes, gates[:, :3]),  # o is not in c'
            ("c", "c"): Block(diagonal=activations["i_f"][..., self.units :]),
        }


def _by_drive(c_slopes: Tensor, o_slope: Tensor, h_by_c: Tensor) -> dict[str, Tensor]:
    """Return d new part / d drive, gate by gate."""
    own = o_slope.unsqueeze(2)
    return {
        "c": torch.cat([c_slopes, torch.zeros_like(own)], dim=2),
        "h": torch.cat([h_by_c.unsqueeze(2) * c_slopes, own], dim=2),
    }
