"""The coupled oscillatory network."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import tanh_with_derivative
from aelle_core.foundation.ranges import Range


@cells.register("cornn")
class CoupledOscillatoryRNN(Cell):
    """z' = z + dt (tanh(Wy y + Wz z + V x + b) - gamma y - epsilon z),  y' = y + dt z'.

    State: y (read out) and its velocity z, each (networks, batch, units); dt is the constant `step`.
    Rusch & Mishra, Coupled oscillatory recurrent neural network, 2021, equation 3 with the damping taken
    explicitly.
    """

    parts: ClassVar[tuple[str, ...]] = ("y", "z")
    defaults: ClassVar[Mapping[str, float]] = {"step": 0.1, "gamma": 1.0, "epsilon": 1.0}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.5), "step": Range(0.03, 1.0)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (n, f), "Wy": (n, n), "Wz": (n, n), "b": (n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """U(-b, b) with b = 1/sqrt(features + 2 units): torch.nn.Linear's own on inputs and both parts of the state,
        coRNNCell.i2h in the authors' program, github.com/tk-rusch/coRNN."""
        return self.uniform_parameters((self.input_size + 2 * self.units) ** -0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "V": parameters["V"],
            "b": parameters["b"].unsqueeze(1),
            "Wy": parameters["Wy"],
            "Wz": parameters["Wz"],
            **constants,
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def _pre_activation(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> Tensor:
        return torch.baddbmm(torch.baddbmm(drive, state["y"], weights["Wy"].mT), state["z"], weights["Wz"].mT)

    def _advance(self, weights: Mapping[str, Tensor], force: Tensor, state: State) -> State:
        y, z = state["y"], state["z"]
        z = z + weights["step"] * (force - weights["gamma"] * y - weights["epsilon"] * z)
        return {"y": y + weights["step"] * z, "z": z}

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return self._advance(weights, torch.tanh(self._pre_activation(weights, drive, state)), state)

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        force, slope = tanh_with_derivative(self._pre_activation(weights, drive, state))
        dt = weights["step"]
        ones = torch.ones_like(force)
        slopes = (dt * slope).unsqueeze(2)
        Wy, Wz = weights["Wy"].unsqueeze(1), weights["Wz"].unsqueeze(1)
        by_y, by_z = -dt * weights["gamma"] * ones, (1 - dt * weights["epsilon"]) * ones
        blocks = {
            ("z", "y"): Block(slopes, Wy, diagonal=by_y),
            ("z", "z"): Block(slopes, Wz, diagonal=by_z),
            ("y", "y"): Block(dt.unsqueeze(2) * slopes, Wy, diagonal=1 + dt * by_y),
            ("y", "z"): Block(dt.unsqueeze(2) * slopes, Wz, diagonal=dt * by_z),
        }
        return self._advance(weights, force, state), blocks
