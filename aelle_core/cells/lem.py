"""Long expressive memory."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Block, Blocks, Cell, State, cells, gates_scaled, rows_scaled
from aelle_core.cells.derivatives import sigmoid_with_derivative, tanh_with_derivative
from aelle_core.ranges import Range


@cells.register("lem")
class LongExpressiveMemory(Cell):
    """s = dt sigma(W1 y + V1 x + b1)                 r = dt sigma(W2 y + V2 x + b2)
    z' = (1 - r) z + r tanh(Wz y + Vz x + bz)         y' = (1 - s) y + s tanh(Wy z' + Vy x + by)

    State: y (read out) and z, each (networks, batch, units); dt is the constant `step`. V and b are stacked in the
    order 1, 2, z, y and W in the order 1, 2, z, with Wy apart. Rusch et al., Long expressive memory, 2022,
    equation 3.
    """

    parts: ClassVar[tuple[str, ...]] = ("y", "z")
    defaults: ClassVar[Mapping[str, float]] = {"step": 1.0}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.04, 1.5), "step": Range(0.1, 1.0)}

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (4 * n, f), "W": (3 * n, n), "Wy": (n, n), "b": (4 * n,)}

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

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        y, z, n, dt = state["y"], state["z"], self.units, weights["step"]
        W_1, W_2, W_z = weights["W"].unflatten(1, (3, -1)).unbind(dim=1)
        a_1, a_2, a_z = torch.baddbmm(drive[..., : 3 * n], y, weights["W"].mT).chunk(3, dim=-1)
        s, slope_s = (dt * value for value in sigmoid_with_derivative(a_1))
        r, slope_r = (dt * value for value in sigmoid_with_derivative(a_2))
        # 1 - dt sigma(a), keeping its digits where sigma(a) rounds to 1
        one_minus_s, one_minus_r = ((1 - dt) + dt * torch.sigmoid(-a) for a in (a_1, a_2))
        u, slope_u = tanh_with_derivative(a_z)
        new_z = one_minus_r * z + r * u
        v, slope_v = tanh_with_derivative(torch.baddbmm(drive[..., 3 * n :], new_z, weights["Wy"].mT))
        new_y = one_minus_s * y + s * v
        slopes_z = torch.stack([(u - z) * slope_r, r * slope_u], dim=2)
        matrices_z = torch.stack([W_2, W_z], dim=1)
        y_by_new_z = rows_scaled(s * slope_v, weights["Wy"])
        through_z = y_by_new_z @ gates_scaled(slopes_z, matrices_z)
        slopes_y = ((v - y) * slope_s).unsqueeze(2)
        blocks = {
            ("z", "y"): Block(slopes_z, matrices_z),
            ("z", "z"): Block(diagonal=one_minus_r),
            ("y", "y"): Block(slopes_y, W_1.unsqueeze(1), diagonal=one_minus_s, dense=through_z),
            ("y", "z"): Block(dense=y_by_new_z * one_minus_r.unsqueeze(-2)),
        }
        return {"y": new_y, "z": new_z}, blocks
