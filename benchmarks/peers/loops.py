"""Every cell as a researcher writes it: a module, a Python loop over the time steps, torch's own operations.

As published, the input's share of a step is computed within the loop, from that step's input. `hoisted` is what a
careful person changes: one product for all steps before the loop. Equations and names as in aelle_core/cells; matrices
are drawn as torch.nn.Linear's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from aelle_core.cells import cells

State = tuple[Tensor, ...]


class Loop(nn.Module):
    """Class scores (batch, classes) from the hidden state after the last step of inputs (batch, time, features)."""

    parts = 1

    def __init__(
        self,
        cell: str,
        features: int,
        units: int,
        classes: int,
        constants: Mapping[str, float] | None = None,
        *,
        hoisted: bool = False,
    ) -> None:
        super().__init__()
        made = cells[cell](features, units)
        self.units = units
        self.hoisted = hoisted
        self.constants = made.constants(constants)
        for name, shape in made.parameter_shapes().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-(units**-0.5), units**-0.5)))
        self.readout = nn.Linear(units, classes)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """`noise` (time, batch, units), for the noisy cell, is drawn within the loop unless it is given."""
        weights = self.weights()
        state: State = (x.new_zeros(len(x), self.units),) * self.parts
        drives = self.drive(x).unbind(1) if self.hoisted else None
        for time in range(x.shape[1]):
            drive = self.drive(x[:, time]) if drives is None else drives[time]
            state = self.advance(drive, state, weights, None if noise is None else noise[time])
        return self.readout(state[0])

    def weights(self) -> State:
        """Matrices that a sequence needs and that are made from the trained ones."""
        return ()

    def drive(self, x: Tensor) -> Tensor:
        """The input's share of the pre-activations."""
        return functional.linear(x, self.V, self.b)

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        """One time step."""
        raise NotImplementedError


class _TorchLayout(Loop):
    """Parameters as in torch.nn's layers."""

    def drive(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight_ih, self.bias_ih)

    def recurrent(self, h: Tensor) -> Tensor:
        return functional.linear(h, self.weight_hh, self.bias_hh)


class TanhLoop(_TorchLayout):
    """h' = tanh(W x + U h + b)."""

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        return (torch.tanh(drive + self.recurrent(state[0])),)


class ReluLoop(_TorchLayout):
    """h' = max(0, W x + U h + b)."""

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        return (torch.relu(drive + self.recurrent(state[0])),)


class GRULoop(_TorchLayout):
    """r, z = sigma(W x + U h + b);  n = tanh(W_n x + b_n + r (U_n h + c_n));  h' = (1 - z) n + z h."""

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        (h,) = state
        x_r, x_z, x_n = drive.chunk(3, dim=-1)
        h_r, h_z, h_n = self.recurrent(h).chunk(3, dim=-1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        return ((1 - z) * torch.tanh(x_n + r * h_n) + z * h,)


class LSTMLoop(_TorchLayout):
    """i, f, o = sigma(W x + U h + b);  g = tanh(W_g x + U_g h + b_g);  c' = f c + i g;  h' = o tanh(c')."""

    parts = 2

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        h, c = state
        i, f, g, o = (drive + self.recurrent(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class AntisymmetricLoop(Loop):
    """h' = h + e tanh((C - C^T - g I) h + V x + b)."""

    def weights(self) -> State:
        return (self.C - self.C.T - self.constants["gamma"] * torch.eye(self.units),)

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        (h,), (A,) = state, weights
        return (h + self.constants["step"] * torch.tanh(functional.linear(h, A) + drive),)


class OscillatoryLoop(Loop):
    """z' = z + dt (tanh(Wy y + Wz z + V x + b) - gamma y - epsilon z);  y' = y + dt z'."""

    parts = 2

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        (y, z), constants = state, self.constants
        force = torch.tanh(functional.linear(y, self.Wy) + functional.linear(z, self.Wz) + drive)
        z = z + constants["step"] * (force - constants["gamma"] * y - constants["epsilon"] * z)
        return y + constants["step"] * z, z


class LipschitzLoop(Loop):
    """h' = h + e f, f = A h + tanh(W h + U x + b), A and W = (1 - beta)(M + M^T) + beta (M - M^T) - gamma I."""

    def drive(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.U, self.b)

    def weights(self) -> State:
        beta, gamma = self.constants["beta"], self.constants["gamma"]
        return tuple(
            (1 - beta) * (M + M.T) + beta * (M - M.T) - gamma * torch.eye(self.units) for M in (self.M_A, self.M_W)
        )

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        return (state[0] + self.constants["step"] * self.drift(drive, state[0], weights),)

    def drift(self, drive: Tensor, h: Tensor, weights: State) -> Tensor:
        """f."""
        A, W = weights
        return functional.linear(h, A) + torch.tanh(functional.linear(h, W) + drive)


class NoisyLoop(LipschitzLoop):
    """h' = h + e f + sqrt(e) (additive + multiplicative f) xi, xi standard normal."""

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        (h,), constants = state, self.constants
        f = self.drift(drive, h, weights)
        xi = torch.randn_like(h) if noise is None else noise
        spread = constants["additive"] + constants["multiplicative"] * f
        return (h + constants["step"] * f + constants["step"] ** 0.5 * spread * xi,)


class ExpressiveLoop(Loop):
    """s = dt sigma(W1 y + V1 x + b1);  r = dt sigma(W2 y + V2 x + b2);
    z' = (1 - r) z + r tanh(Wz y + Vz x + bz);  y' = (1 - s) y + s tanh(Wy z' + Vy x + by)."""

    parts = 2

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        (y, z), dt = state, self.constants["step"]
        x_1, x_2, x_z, x_y = drive.chunk(4, dim=-1)
        y_1, y_2, y_z = functional.linear(y, self.W).chunk(3, dim=-1)
        s, r = dt * torch.sigmoid(y_1 + x_1), dt * torch.sigmoid(y_2 + x_2)
        z = (1 - r) * z + r * torch.tanh(y_z + x_z)
        return (1 - s) * y + s * torch.tanh(functional.linear(z, self.Wy) + x_y), z


class OrthogonalLoop(Loop):
    """h' = tanh(O h + V x + b), O = exp(S - S^T)."""

    def weights(self) -> State:
        return (torch.matrix_exp(self.S - self.S.T),)

    def advance(self, drive: Tensor, state: State, weights: State, noise: Tensor | None) -> State:
        return (torch.tanh(functional.linear(state[0], weights[0]) + drive),)


LOOPS: dict[str, type[Loop]] = {
    "rnn": TanhLoop,
    "rnn_relu": ReluLoop,
    "gru": GRULoop,
    "lstm": LSTMLoop,
    "asrnn": AntisymmetricLoop,
    "cornn": OscillatoryLoop,
    "lipschitz": LipschitzLoop,
    "noisy": NoisyLoop,
    "lem": ExpressiveLoop,
    "ornn": OrthogonalLoop,
}
