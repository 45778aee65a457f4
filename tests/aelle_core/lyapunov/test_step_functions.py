"""A person's own step functions, saturated: derivatives and honesty through automatic differentiation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic
from tests.helpers.references import reference_spectrum

UNITS, FEATURES, STEPS = 5, 3, 5
Step = Callable[[Tensor, Tensor], Tensor]


def textbook_rnn(cell: nn.RNNCell) -> Step:
    return lambda x, h: (x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh).tanh()


def textbook_gru(cell: nn.GRUCell) -> Step:
    """As most would write it: 1 - z loses its digits where z rounds to 1."""

    def step(x: Tensor, h: Tensor) -> Tensor:
        x_r, x_z, x_n = (x @ cell.weight_ih.T + cell.bias_ih).chunk(3, dim=-1)
        h_r, h_z, h_n = (h @ cell.weight_hh.T + cell.bias_hh).chunk(3, dim=-1)
        z = torch.sigmoid(x_z + h_z)
        return (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + z * h

    return step


def with_both_states(cell: nn.LSTMCell) -> Step:
    return lambda x, state: torch.cat(cell(x, tuple(state.chunk(2, dim=-1))), dim=-1)


CASES: dict[str, tuple[str, type[nn.RNNCellBase], Callable[..., Step]]] = {
    "RNNCell": ("rnn", nn.RNNCell, lambda cell: cell),
    "tanh in python": ("rnn", nn.RNNCell, textbook_rnn),
    "GRUCell": ("gru", nn.GRUCell, lambda cell: cell),
    "gru in python": ("gru", nn.GRUCell, textbook_gru),
    "LSTMCell": ("lstm", nn.LSTMCell, with_both_states),
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("gain", [1.0, 10.0, 30.0, 100.0])
def test_what_is_marked_resolved_is_right(case: str, gain: float) -> None:
    name, kind, written = CASES[case]
    marks = []
    for seed in range(4):
        torch.manual_seed(seed)
        cell = kind(FEATURES, UNITS).double()  # type: ignore[call-arg]
        with torch.no_grad():
            cell.weight_hh *= gain
            cell.weight_ih *= gain
        inputs = torch.randn(1, STEPS, FEATURES, dtype=torch.float64)
        start = torch.zeros(1, UNITS * (2 if name == "lstm" else 1), dtype=torch.float64)
        step = written(cell)
        spectrum = lyapunov_spectrum(lambda x, state, step=step: step(x, state), inputs, initial_state=start)
        arrays = {key: value.detach().numpy() for key, value in cell.named_parameters()}
        expected = np.sort(reference_spectrum(name, arrays, inputs[0].numpy()))[::-1]
        assert spectrum.resolved is not None
        error = np.abs(spectrum.exponents - expected)
        assert error[spectrum.resolved].max(initial=0.0) < 1e-6
        marks.append(spectrum.resolved.mean())
    if name == "rnn" or gain <= 10:
        assert np.mean(marks) > 0.9  # the mark does not simply say no


def test_derivatives_of_tanh_and_sigmoid_in_saturation() -> None:
    a = torch.tensor([-300.0, -25.0, -1.0, 0.0, 0.5, 25.0, 300.0], dtype=torch.float64)

    def slopes(function: Callable[[Tensor], Tensor]) -> Tensor:
        with WatchedArithmetic(a):
            return torch.func.jvp(function, (a,), (torch.ones_like(a),))[1]

    e = torch.exp(-2 * a.abs())
    torch.testing.assert_close(slopes(torch.tanh), 4 * e / (1 + e) ** 2, rtol=1e-14, atol=0)
    torch.testing.assert_close(slopes(Tensor.tanh), slopes(torch.tanh), rtol=0, atol=0)
    expected = torch.exp(-a.abs()) / (1 + torch.exp(-a.abs())) ** 2
    torch.testing.assert_close(slopes(torch.sigmoid), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(slopes(nn.Sigmoid()), expected, rtol=1e-14, atol=0)


def test_a_disturbance_touches_rounded_results_alone() -> None:
    a = torch.linspace(-1, 1, 9, dtype=torch.float64)
    with WatchedArithmetic(a, disturbance=1e-10):
        moved, rounded = torch.cat([a, a])[3:].flip(0), a * 3
    torch.testing.assert_close(moved, torch.cat([a, a])[3:].flip(0), rtol=0, atol=0)
    apart = (rounded / (a * 3) - 1).nan_to_num().abs()
    assert 1e-12 < apart.max() <= 1.01e-10


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_cells_keep_their_values(kind: type[nn.RNNCellBase], bias: bool) -> None:
    torch.manual_seed(0)
    cell = kind(FEATURES, UNITS, bias=bias).double()  # type: ignore[call-arg]
    x = torch.randn(4, FEATURES, dtype=torch.float64)
    h = torch.randn(4, UNITS, dtype=torch.float64)
    state = (h, h.flip(0)) if kind is nn.LSTMCell else h
    with WatchedArithmetic(h):
        new_state = cell(x, state)
    torch.testing.assert_close(new_state, cell(x, state), rtol=1e-13, atol=1e-14)
