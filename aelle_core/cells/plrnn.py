"""The piecewise-linear recurrent network."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.activated import ActivatedCell
from aelle_core.cells.base import State, cells
from aelle_core.cells.blocks import Block, Blocks, Columns
from aelle_core.cells.derivatives import relu_derivative
from aelle_core.foundation.ranges import Range


@cells.register("plrnn")
class PiecewiseLinearRNN(ActivatedCell):
    """z' = A z + W max(0, z) + C x + h, with A diagonal: linear between the hyperplanes z_i = 0.

    It has no switching functions, so that spectra check every sequence: a unit that stays below 0 keeps its own
    direction exactly, until rounding tilts it towards faster ones, in one sequence early and in another late.

    State: z (networks, batch, units). Durstewitz, PLoS Comput. Biol. 13 (2017), equation 1; Brenner et al., Tractable
    dendritic RNNs for reconstructing nonlinear dynamical systems, ICML 2022, equation 1.
    """

    parts: ClassVar[tuple[str, ...]] = ("z",)
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.03, 0.5)}
    input_weights: ClassVar[str | None] = "C"
    drive_weights: ClassVar[str] = "C"
    exact_zeros: ClassVar[bool] = True
    kinked: ClassVar[bool] = True

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"A": (n,), "W": (n, n), "C": (n, f), "h": (n,)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "A": parameters["A"].unsqueeze(1),
            "W_transposed": parameters["W"].mT.contiguous(),
            "C": parameters["C"],
            "h": parameters["h"].unsqueeze(1),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["h"], inputs, weights["C"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        z = state["z"]
        return {"z": torch.baddbmm(drive, torch.relu(z), weights["W_transposed"]) + weights["A"] * z}

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return the drive, (networks, batch, units): the Jacobian needs the old state alone."""
        return {"drive": drive}

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        return self.step(weights, activations["drive"], state)

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        slope = relu_derivative(state["z"])

        # d z' / d z = A + W diag(slope)
        columns = Columns(slope.unsqueeze(2), weights["W_transposed"].mT.unsqueeze(1))
        block = Block(diagonal=weights["A"].expand_as(slope), columns=columns)
        return {("z", "z"): block}, {"z": torch.ones_like(slope).unsqueeze(2)}
