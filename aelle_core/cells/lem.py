"""Long expressive memory."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks, Through
from aelle_core.cells.derivatives import (
    difference,
    sigmoid_with_derivative,
    tanh_complements,
    tanh_with_derivative,
)
from aelle_core.foundation.ranges import Range


@cells.register("lem")
class LongExpressiveMemory(Cell):
    """s = dt sigma(W1 y + V1 x + b1)                 r = dt sigma(W2 y + V2 x + b2)
    z' = (1 - r) z + r tanh(Wz y + Vz x + bz)         y' = (1 - s) y + s tanh(Wy z' + Vy x + by)

    State: y (read out) and z, each (networks, batch, units); dt is the constant `step`. V and b are stacked in the
    order 1, 2, z, y and W in the order 1, 2, z, with Wy apart. Rusch et al., Long expressive memory, 2022,
    equation 3. In the authors' code the third block of what the inputs give (and of its bias) drives y and the
    fourth z: with these two exchanged, its weights give the same states to rounding (1e-15).
    """

    parts: ClassVar[tuple[str, ...]] = ("y", "z")
    companions: ClassVar[tuple[str, ...]] = ("one_minus_y", "one_plus_y", "one_minus_z", "one_plus_z")
    dense_blocks: ClassVar[bool] = True
    exact_constants: ClassVar[tuple[str, ...]] = ("step",)  # 1 - dt is as exact as dt, and only added to
    defaults: ClassVar[Mapping[str, float]] = {"step": 1.0}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.04, 1.5), "step": Range(0.1, 1.0)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (4 * n, f), "W": (3 * n, n), "Wy": (n, n), "b": (4 * n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Every weight and bias U(-1/sqrt(units), 1/sqrt(units)): LEMCell.reset_parameters in the authors' program,
        github.com/tk-rusch/LEM."""
        return self.uniform_parameters(self.units**-0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**parameters, **constants, "b": parameters["b"].unsqueeze(1)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        y, z, n = state["y"], state["z"], self.units
        a = torch.baddbmm(drive[..., : 3 * n], y, weights["W"].mT)
        s, r = (weights["step"] * torch.sigmoid(a[..., : 2 * n])).chunk(2, dim=-1)
        z = torch.lerp(z, torch.tanh(a[..., 2 * n :]), r)
        v = torch.tanh(torch.baddbmm(drive[..., 3 * n :], z, weights["Wy"].mT))
        return {"y": torch.lerp(y, v, s), "z": z}

    def accompany(self, state: State) -> State:
        y, z = state["y"], state["z"]
        return {
            **state,
            "one_minus_y": 1 - y,
            "one_plus_y": 1 + y,
            "one_minus_z": 1 - z,
            "one_plus_z": 1 + z,
        }

    def _pre_activations(
        self, weights: Mapping[str, Tensor], drive: Tensor, state: State
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of s, of r, and of z'."""
        a = torch.baddbmm(drive[..., : 3 * self.units], state["y"], weights["W"].mT)
        a_1, a_2, a_z = a.chunk(3, dim=-1)
        return a_1, a_2, a_z

    def step_accompanied(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> State:
        # As z' = (1 - r) z + r u, so 1 -+ z' = (1 - r) (1 -+ z) + r (1 -+ u): sums of positive terms lose nothing.
        n, dt = self.units, weights["step"]
        a_1, a_2, a_z = self._pre_activations(weights, drive, state)
        s, r = dt * torch.sigmoid(a_1), dt * torch.sigmoid(a_2)
        kept_y, kept_z = _one_minus(dt, a_1), _one_minus(dt, a_2)
        one_minus_u, one_plus_u = tanh_complements(a_z)
        z = torch.addcmul(kept_z * state["z"], r, torch.tanh(a_z))
        a_y = torch.baddbmm(drive[..., 3 * n :], z, weights["Wy"].mT)
        one_minus_v, one_plus_v = tanh_complements(a_y)
        return {
            "y": torch.addcmul(kept_y * state["y"], s, torch.tanh(a_y)),
            "z": z,
            "one_minus_y": torch.addcmul(kept_y * state["one_minus_y"], s, one_minus_v),
            "one_plus_y": torch.addcmul(kept_y * state["one_plus_y"], s, one_plus_v),
            "one_minus_z": torch.addcmul(kept_z * state["one_minus_z"], r, one_minus_u),
            "one_plus_z": torch.addcmul(kept_z * state["one_plus_z"], r, one_plus_u),
        }

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        y, z, n, dt = state["y"], state["z"], self.units, weights["step"]
        W_1, W_2, W_z = weights["W"].unflatten(1, (3, -1)).unbind(dim=1)
        a_1, a_2, a_z = self._pre_activations(weights, drive, state)
        s, slope_s = (dt * value for value in sigmoid_with_derivative(a_1))
        r, slope_r = (dt * value for value in sigmoid_with_derivative(a_2))
        one_minus_s, one_minus_r = _one_minus(dt, a_1), _one_minus(dt, a_2)
        u, slope_u = tanh_with_derivative(a_z)
        new_z = one_minus_r * z + r * u
        a_y = torch.baddbmm(drive[..., 3 * n :], new_z, weights["Wy"].mT)
        v, slope_v = tanh_with_derivative(a_y)
        u_minus_z, v_minus_y = u - z, v - y
        if "one_minus_z" in state:
            u_minus_z = difference(tanh_complements(a_z), (state["one_minus_z"], state["one_plus_z"]))
            v_minus_y = difference(tanh_complements(a_y), (state["one_minus_y"], state["one_plus_y"]))
        new_y = one_minus_s * y + s * v
        slopes_z = torch.stack([u_minus_z * slope_r, r * slope_u], dim=2)
        matrices_z = torch.stack([W_2, W_z], dim=1)
        through_z = Through("z", s * slope_v, weights["Wy"])  # d y' / d z' = diag(s v') Wy
        blocks = {
            ("z", "y"): Block(slopes_z, matrices_z),
            ("z", "z"): Block(diagonal=one_minus_r),
            ("y", "y"): Block(
                (v_minus_y * slope_s).unsqueeze(2), W_1.unsqueeze(1), diagonal=one_minus_s, through=through_z
            ),
            ("y", "z"): Block(through=through_z),
        }
        return {"y": new_y, "z": new_z}, blocks


def _one_minus(dt: Tensor, a: Tensor) -> Tensor:
    """1 - dt sigma(a), keeping its digits where sigma(a) rounds to 1."""
    return (1 - dt) + dt * torch.sigmoid(-a)
