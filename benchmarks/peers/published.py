"""The published way: what the research scripts for spectra of recurrent networks do (Vogt, Zheng, Shlizerman 2024).

Step by step and for a batch of sequences: pre-activations from the states, a dense Jacobian of the hidden state from
matrices that hold the gates' derivatives on their diagonals, one step of the torch.nn layer, J^T Q, torch.linalg.qr,
signs put right by products with a diagonal matrix, R stored whole. Written anew here, operation by operation as the
scripts do it and with their derivatives (1 / cosh^2, s (1 - s)), in float64. As published:

rnn   diag(1 / cosh^2) U, one batched product
gru   one diagonal matrix (N, N) per factor, multiplied with each other and with the recurrent weights
lstm  diagonal matrices (4N, 4N) of all gates together, of which (N, N) pieces are taken

`tightened` is the same algorithm as a careful person would write it: factors multiply rows by broadcasting, no matrix
is made for a diagonal, signs multiply columns. What is left is the Jacobian, the product, the QR and the storage.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Weights(NamedTuple):
    """A torch.nn layer's parameters."""

    W: Tensor
    U: Tensor
    b_i: Tensor
    b_h: Tensor


Jacobian = Callable[[Weights, Tensor, Tensor, Tensor], Tensor]
"""(weights, input, h, c) -> (batch, N, N); c is h where there is none."""


def _sigmoid(y: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-y))


def _slope(y: Tensor) -> Tensor:
    return _sigmoid(y) * (1 - _sigmoid(y))


def _sech(y: Tensor) -> Tensor:
    return 1 / torch.cosh(y)


def _shares(weights: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The input's and the state's shares of all pre-activations, (batch, gates N)."""
    return x @ weights.W.mT + weights.b_i, h @ weights.U.mT + weights.b_h


def _rnn_published(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    by_input, by_state = _shares(weights, x, h)
    return torch.diag_embed(_sech(by_input + by_state)) ** 2 @ weights.U


def _gru_published(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    diagonal = torch.diag_embed
    by_input, by_state = _shares(weights, x, h)
    i_r, i_z, i_n = by_input.chunk(3, dim=-1)
    k_r, k_z, k_n = by_state.chunk(3, dim=-1)
    U_r, U_z, U_n = weights.U.chunk(3)
    n = torch.tanh(i_n + _sigmoid(i_r + k_r) * k_n)
    by_n = -diagonal(_slope(i_z + k_z)) @ diagonal(n) @ U_z
    keep = diagonal(1 - _sigmoid(i_z + k_z))
    slope_n = diagonal(_sech(i_n + _sigmoid(i_r + k_r) * k_n)) ** 2
    through_r = diagonal(_slope(i_r + k_r)) @ diagonal(k_n) @ U_r
    through_n = diagonal(_sigmoid(i_r + k_r)) @ U_n
    by_candidate = keep @ (slope_n @ (through_r + through_n))
    by_h = diagonal(_slope(i_z + k_z)) @ diagonal(h) @ U_z + diagonal(_sigmoid(i_z + k_z))
    return by_n + by_candidate + by_h


def _lstm_published(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    by_input, by_state = _shares(weights, x, h)
    y = by_input + by_state
    units = h.shape[-1]
    i, f, g, o = (slice(first * units, (first + 1) * units) for first in range(4))
    U = weights.U
    new_c = _sigmoid(y[:, f]) * c + _sigmoid(y[:, i]) * torch.tanh(y[:, g])

    def whole(values: Tensor, gate: slice) -> Tensor:
        return torch.diag_embed(values)[:, gate, gate]

    c_by_h = (whole(_slope(y), f) @ torch.diag_embed(c)) @ U[f]
    c_by_h = c_by_h + (whole(_slope(y), i) * whole(torch.tanh(y), g)) @ U[i]
    c_by_h = c_by_h + (whole(_sigmoid(y), i) * (torch.diag_embed(_sech(y)) ** 2)[:, g, g]) @ U[g]
    through_o = (whole(_slope(y), o) * torch.diag_embed(torch.tanh(new_c))) @ U[o]
    h_by_c = whole(_sigmoid(y), o) @ torch.diag_embed(_sech(new_c)) ** 2
    return h_by_c @ c_by_h + through_o


def _rnn_tightened(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    by_input, by_state = _shares(weights, x, h)
    return (_sech(by_input + by_state) ** 2).unsqueeze(-1) * weights.U


def _gru_tightened(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    by_input, by_state = _shares(weights, x, h)
    i_r, i_z, i_n = by_input.chunk(3, dim=-1)
    k_r, k_z, k_n = by_state.chunk(3, dim=-1)
    U_r, U_z, U_n = weights.U.chunk(3)
    r, z = _sigmoid(i_r + k_r), _sigmoid(i_z + k_z)
    n = torch.tanh(i_n + r * k_n)
    by_n = (1 - z) * (1 - n * n)
    whole = (by_n * k_n * r * (1 - r)).unsqueeze(-1) * U_r
    whole.addcmul_((by_n * r).unsqueeze(-1), U_n)
    whole.addcmul_(((h - n) * z * (1 - z)).unsqueeze(-1), U_z)
    whole.diagonal(dim1=-2, dim2=-1).add_(z)
    return whole


def _lstm_tightened(weights: Weights, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
    by_input, by_state = _shares(weights, x, h)
    a_i, a_f, a_g, a_o = (by_input + by_state).chunk(4, dim=-1)
    U_i, U_f, U_g, U_o = weights.U.chunk(4)
    i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
    tanh_c = torch.tanh(f * c + i * g)
    by_c = o * (1 - tanh_c * tanh_c)
    whole = (by_c * g * i * (1 - i)).unsqueeze(-1) * U_i
    whole.addcmul_((by_c * c * f * (1 - f)).unsqueeze(-1), U_f)
    whole.addcmul_((by_c * i * (1 - g * g)).unsqueeze(-1), U_g)
    whole.addcmul_((tanh_c * o * (1 - o)).unsqueeze(-1), U_o)
    return whole


_PUBLISHED: dict[str, Jacobian] = {"rnn": _rnn_published, "gru": _gru_published, "lstm": _lstm_published}
_TIGHTENED: dict[str, Jacobian] = {"rnn": _rnn_tightened, "gru": _gru_tightened, "lstm": _lstm_tightened}
CELLS = tuple(_PUBLISHED)


@torch.no_grad()
def published_spectrum(
    layer: nn.RNNBase, inputs: Tensor, *, tightened: bool = False, transposed: bool = True
) -> Tensor:
    """(batch, N) exponents of the hidden state of a torch.nn.RNN, GRU or LSTM, nats per step, in the order of the
    directions.

    tightened   without matrices for diagonals
    transposed  move tangents by J^T, as published; with False by J, so that what is left of a difference is rounding
    """
    name = layer.mode.lower().split("_")[0]
    jacobian = (_TIGHTENED if tightened else _PUBLISHED)[name]
    weights = Weights(*(value.detach() for value in layer.parameters()))
    batch, steps, _ = inputs.shape
    units = layer.hidden_size
    h = inputs.new_zeros(1, batch, units)
    state = (h, torch.zeros_like(h)) if name == "lstm" else h
    Q = torch.eye(units, dtype=inputs.dtype, device=inputs.device).repeat(batch, 1, 1)
    stored = torch.eye(units, dtype=inputs.dtype, device=inputs.device).repeat(batch, steps, 1, 1)
    for time in range(steps):
        h, c = state if isinstance(state, tuple) else (state, state)
        J = jacobian(weights, inputs[:, time], h[0], c[0])
        _, state = layer(inputs[:, time : time + 1], state)
        Q, R = torch.linalg.qr((J.mT if transposed else J) @ Q)
        signs = torch.sign(R.diagonal(dim1=-2, dim2=-1))
        if tightened:
            Q, R = Q * signs.unsqueeze(-2), signs.unsqueeze(-1) * R
        else:
            whole = torch.diag_embed(signs)
            Q, R = Q @ whole, whole @ R
        stored[:, time] = R
    return stored.diagonal(dim1=-2, dim2=-1).log().sum(dim=1) / steps
