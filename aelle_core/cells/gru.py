"""The gated recurrent unit."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.activated import ActivatedCell
from aelle_core.cells.base import State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import difference
from aelle_core.foundation.ranges import Range


@cells.register("gru")
class GRU(ActivatedCell):
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

    def accompany(self, state: State) -> State:
        return {"h": state["h"], "one_minus_h": 1 - state["h"], "one_plus_h": 1 + state["h"]}

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return the gates r and z side by side, 1 - r and 1 - z, U_n h + b_hn before the reset gate, n, and halves of
        1 - n and 1 + n, all with full relative accuracy: (networks, batch, units) each, the gates twice that."""
        n = self.units
        recurrent = torch.baddbmm(weights["b_h"], state["h"], weights["U"].mT)
        a = drive[..., : 2 * n] + recurrent[..., : 2 * n]
        gates, before_reset = torch.sigmoid(a), recurrent[..., 2 * n :]
        a_n = torch.addcmul(drive[..., 2 * n :], gates[..., :n], before_reset)
        candidate, twice = torch.tanh(a_n), a_n.mul_(2)  # 1 -+ tanh(a) = 2 sigma(-+ 2 a)
        return {
            "gates": gates,
            "one_minus_gates": a.neg_().sigmoid_(),
            "before_reset": before_reset,
            "n": candidate,
            "half_one_plus_n": torch.sigmoid(twice),
            "half_one_minus_n": twice.neg_().sigmoid_(),
        }

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        # 1 -+ h' = (1 - z) (1 -+ n) + z (1 -+ h): sums of positive terms, which lose nothing.
        z, one_minus_z = (activations[name][..., self.units :] for name in ("gates", "one_minus_gates"))
        new = {"h": torch.addcmul(one_minus_z * activations["n"], z, state["h"])}
        if "one_minus_h" in state:
            double = 2 * one_minus_z
            for name, half in (("one_minus_h", "half_one_minus_n"), ("one_plus_h", "half_one_plus_n")):
                new[name] = torch.addcmul(double * activations[half], z, state[name])
        return new

    def _by_drive(self, activations: Mapping[str, Tensor], state: State) -> Tensor:
        """Return d h' / d drive, gate by gate, (networks, batch, 3, units)."""
        r, z = activations["gates"].chunk(2, dim=-1)
        one_minus_r, one_minus_z = activations["one_minus_gates"].chunk(2, dim=-1)
        complements = 2 * activations["half_one_minus_n"], 2 * activations["half_one_plus_n"]
        h_minus_n = state["h"] - activations["n"]
        if "one_minus_h" in state:
            h_minus_n = difference((state["one_minus_h"], state["one_plus_h"]), complements)
        by_n = one_minus_z * (complements[0] * complements[1])
        by_r = by_n * activations["before_reset"] * (r * one_minus_r)
        return torch.stack([by_r, h_minus_n * (z * one_minus_z), by_n], dim=2)

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        by_drive = self._by_drive(activations, state)
        r, z = activations["gates"].chunk(2, dim=-1)
        slopes = torch.cat([by_drive[:, :, :2], (by_drive[:, :, 2] * r).unsqueeze(2)], dim=2)  # r stands before U_n h
        return {("h", "h"): Block(slopes, weights["U"].unflatten(1, (3, -1)), diagonal=z)}, {"h": by_drive}
