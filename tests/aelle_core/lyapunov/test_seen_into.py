"""What a step function calls is seen into by the check for rounding, or nothing is resolved."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic
from tests.helpers.references import reference_spectrum

pytestmark = pytest.mark.filterwarnings("ignore:the .* steps of this autonomous map")


@pytest.mark.parametrize(("name", "kind"), [("rnn", nn.RNN), ("rnn_relu", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
@pytest.mark.parametrize("gain", [1.0, 16.0, 60.0])
def test_torch_layers_inside_a_step(name: str, kind: Any, gain: float) -> None:
    options = {"nonlinearity": "relu"} if name == "rnn_relu" else {}
    for seed in range(2):
        torch.manual_seed(seed)
        layer = kind(1, 3, batch_first=True, **options).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(gain)
        inputs = torch.randn(1, 3, 1, dtype=torch.float64)
        parts = 2 if name == "lstm" else 1

        def step(x: Tensor, state: Tensor, layer: nn.Module = layer, parts: int = parts) -> Tensor:
            given = [part[None].contiguous() for part in state.chunk(parts, -1)]
            ends = layer(x[:, None], tuple(given) if parts > 1 else given[0])[1]
            return torch.cat(list(ends), -1)[0] if parts > 1 else ends[0]

        spectrum = lyapunov_spectrum(step, inputs, initial_state=torch.zeros(1, 3 * parts))
        arrays = {key.removesuffix("_l0"): value.detach().numpy() for key, value in layer.named_parameters()}
        expected = -np.sort(-reference_spectrum(name, arrays, inputs[0].numpy()))
        assert spectrum.resolved is not None
        with np.errstate(invalid="ignore"):
            error = np.where(spectrum.exponents == expected, 0.0, np.abs(spectrum.exponents - expected))
        assert error[spectrum.resolved].max(initial=0.0) < 1e-6
        if gain == 1.0 and name != "rnn_relu":
            assert spectrum.resolved.all()


def slope_of_sigmoid(a: float) -> float:
    return float(mpmath.log(mpmath.exp(-a) / (1 + mpmath.exp(-mpmath.mpf(a))) ** 2))


@pytest.mark.parametrize(
    "step",
    [
        lambda _, s: nn.functional.glu(torch.cat([torch.ones_like(s), s * 0 + 30 + (s - s.detach())], -1)),
        lambda _, s: torch.softmax(torch.cat([s + 30, torch.zeros_like(s)], -1), -1)[:, :1],
        lambda _, s: nn.Softmax(-1)(torch.cat([s + 30, torch.zeros_like(s)], -1))[:, :1],
        lambda _, s: torch.log_softmax(torch.cat([s + 30, torch.zeros_like(s)], -1), -1)[:, :1].exp(),
    ],
)
def test_gates_and_softmax_in_saturation(step: Callable[[Any, Tensor], Tensor]) -> None:
    with mpmath.workdps(60):
        expected = slope_of_sigmoid(30.0)
    spectrum = lyapunov_spectrum(step, steps=1, initial_state=torch.zeros(1, 1, dtype=torch.float64))
    assert spectrum.resolved is not None
    assert not spectrum.resolved[0] or spectrum.exponents[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: torch.softmax(a, -1),
        lambda a: nn.functional.log_softmax(a, dim=-1),
        lambda a: torch.logsumexp(a, -1, keepdim=True) + a,
        lambda a: nn.functional.glu(torch.cat([a, 2 * a], -1)),
        nn.functional.silu,
        nn.functional.gelu,
        lambda a: nn.functional.gelu(a, approximate="tanh"),
        nn.functional.logsigmoid,
        lambda a: torch.lerp(a, 2 * a, 0.3),
        nn.LayerNorm(5).double(),
        lambda a: nn.functional.dropout(a, 0.5, False),
    ],
)
def test_what_is_taken_apart_keeps_its_values_and_slopes(function: Callable[[Tensor], Tensor]) -> None:
    a = torch.linspace(-3, 3, 5, dtype=torch.float64).repeat(2, 1)
    direction = torch.ones_like(a) * torch.linspace(-1, 2, 5, dtype=torch.float64)
    watched = WatchedArithmetic(a)

    def inside(b: Tensor) -> Tensor:
        with watched:
            return function(b)

    watched_pair = torch.func.jvp(inside, (a,), (direction,))
    expected = torch.func.jvp(function, (a,), (direction,))
    torch.testing.assert_close(watched_pair, expected, rtol=1e-12, atol=1e-13)
    assert not watched.unchecked


def test_what_is_not_seen_into_is_named_and_not_resolved() -> None:
    start = torch.full((1, 3), 0.3, dtype=torch.float64)
    with pytest.warns(UserWarning, match="mish, into which the check for rounding does not see"):
        spectrum = lyapunov_spectrum(lambda _, s: nn.functional.mish(s), steps=4, initial_state=start)
    assert spectrum.resolved is not None
    assert not spectrum.resolved.any()
    assert math.isinf(float(spectrum.rounding_error[0])) if spectrum.rounding_error is not None else False
