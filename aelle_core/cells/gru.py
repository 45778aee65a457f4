"""The gated recurrent unit."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import (
    difference,
    sigmoid_with_derivative,
    tanh_complements,
    tanh_with_derivative,
)
from aelle_core.foundation.ranges import Range


@cells.register("gru")
class GRU(Cell):
    """torch.nn.GRU's conventions and parameter layout, gates in the order r, z, n:

        r = sigma(W_r x + b_ir + U_r h + b_hr)
        z = sigma(W_z x + b_iz + U_z h + b_hz)
        n = tanh(W_n x + b_in + r (U_n h + b_hn))
        h' = (1 - z) n + z h

    State: h (networks, batch, units). Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    """

    companions: ClassVar[tuple[str, ...]] = ("one_minus_h", "one_plus_h")
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.0)}
    input_weights: ClassVar[str | None] = "weight_ih"
    forget_gate: ClassVar[tuple[str, int] | None] = ("bias_ih", 1)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"weight_ih": (3 * n, f), "weight_hh": (3 * n, n), "bias_ih": (3 * n,), "bias_hh": (3 * n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """torch.nn's own U(-1/sqrt(units), 1/sqrt(units))."""
        return self.uniform_parameters(self.units**-0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "W": parameters["weight_ih"],
            "U": parameters["weight_hh"],
            "b_i": parameters["bias_ih"].unsqueeze(1),
            "b_h": parameters["bias_hh"].unsqueeze(1),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b_i"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        h = state["h"]
        recurrent = torch.baddbmm(weights["b_h"], h, weights["U"].mT)
        n = self.units
        r, z = torch.sigmoid(drive[..., : 2 * n] + recurrent[..., : 2 * n]).chunk(2, dim=-1)
        candidate = torch.tanh(torch.addcmul(drive[..., 2 * n :], r, recurrent[..., 2 * n :]))
        return {"h": torch.lerp(candidate, h, z)}

    def _pre_activations(
        self, weights: Mapping[str, Tensor], drive: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of r and of z, and the two summands of n's: from the drive, and from h before the reset gate."""
        recurrent_r, recurrent_z, recurrent_n = torch.baddbmm(weights["b_h"], h, weights["U"].mT).chunk(3, dim=-1)
        drive_r, drive_z, drive_n = drive.chunk(3, dim=-1)
        return drive_r + recurrent_r, drive_z + recurrent_z, drive_n, recurrent_n

    def accompany(self, state: State) -> State:
        return {"h": state["h"], "one_minus_h": 1 - state["h"], "one_plus_h": 1 + state["h"]}

    def step_accompanied(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> State:
        # 1 -+ h' = (1 - z) (1 -+ n) + z (1 -+ h): sums of positive terms, which lose nothing.
        h = state["h"]
        a_r, a_z, drive_n, recurrent_n = self._pre_activations(weights, drive, h)
        z, one_minus_z = torch.sigmoid(a_z), torch.sigmoid(-a_z)
        a = torch.addcmul(drive_n, torch.sigmoid(a_r), recurrent_n)
        one_minus_n, one_plus_n = tanh_complements(a)
        return {
            "h": torch.addcmul(one_minus_z * torch.tanh(a), z, h),
            "one_minus_h": torch.addcmul(one_minus_z * one_minus_n, z, state["one_minus_h"]),
            "one_plus_h": torch.addcmul(one_minus_z * one_plus_n, z, state["one_plus_h"]),
        }

    def _linear_parts(
        self, weights: Mapping[str, Tensor], drive: Tensor, state: State
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """h', d h' / d drive as (networks, batch, 3, units), and the gates r and z."""
        h = state["h"]
        a_r, a_z, drive_n, recurrent_n = self._pre_activations(weights, drive, h)
        r, slope_r = sigmoid_with_derivative(a_r)
        z, slope_z = sigmoid_with_derivative(a_z)
        one_minus_z = torch.sigmoid(-a_z)  # keeps its digits where z rounds to 1
        a = drive_n + r * recurrent_n
        n, slope_n = tanh_with_derivative(a)
        h_minus_n = h - n
        if "one_minus_h" in state:
            h_minus_n = difference((state["one_minus_h"], state["one_plus_h"]), tanh_complements(a))
        by_n = one_minus_z * slope_n
        slopes = torch.stack([by_n * recurrent_n * slope_r, h_minus_n * slope_z, by_n], dim=2)
        return one_minus_z * n + z * h, slopes, r, z

    def drive_slopes(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        return {"h": self._linear_parts(weights, drive, state)[1]}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        return self.linearise_driven(weights, drive, state)[:2]

    def linearise_driven(
        self, weights: Mapping[str, Tensor], drive: Tensor, state: State
    ) -> tuple[State, Blocks, dict[str, Tensor]]:
        h, by_drive, r, z = self._linear_parts(weights, drive, state)
        slopes = by_drive.clone()
        slopes[:, :, 2] *= r  # U_n h enters through the reset gate, the drive does not
        blocks = {("h", "h"): Block(slopes, weights["U"].unflatten(1, (3, -1)), diagonal=z)}
        return {"h": h}, blocks, {"h": by_drive}
