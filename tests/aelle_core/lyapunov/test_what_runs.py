"""The network that is computed is the network that runs, or it is refused by name."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from aelle_core import lyapunov_exponents, lyapunov_spectrum
from aelle_core.cells import Network, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator

INPUTS = torch.randn(3, 8, 2, generator=generator(0, "test"))


class NormedCell(nn.LSTMCell):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        h, c = super().forward(x, state)
        return nn.functional.layer_norm(h, h.shape[-1:]), c


class Doubled(nn.GRU):
    def forward(self, x: Tensor, h: Any = None) -> Any:
        return super().forward(2 * x, h)


def hooked() -> nn.Module:
    layer = nn.RNN(2, 4, batch_first=True)
    layer.register_forward_hook(lambda _, __, output: (output[0] / 2, output[1] / 2))
    return layer


@pytest.mark.parametrize(
    ("made", "name"),
    [(lambda: NormedCell(2, 4), "NormedCell"), (lambda: Doubled(2, 4, batch_first=True), "Doubled"), (hooked, "RNN")],
)
def test_a_layer_with_a_forward_of_its_own_is_refused_by_name(made: Callable[[], nn.Module], name: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(UserError, match=f"^{name} does not"):
        lyapunov_spectrum(made(), INPUTS)


class DropConnect(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return nn.functional.dropout(weight, 0.5, self.training)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0])


def test_weights_are_those_of_evaluation_in_training_mode_too() -> None:
    torch.manual_seed(0)
    model = Model()
    parametrize.register_parametrization(model.rnn, "weight_hh_l0", DropConnect())
    expected = lyapunov_spectrum(model.eval(), INPUTS).exponents
    model.train()
    np.testing.assert_array_equal(lyapunov_spectrum(model, INPUTS).exponents, expected)
    np.testing.assert_array_equal(lyapunov_spectrum(model.rnn, INPUTS).exponents, expected)
    assert model.rnn.training


def test_one_module_in_several_threads() -> None:
    model = Model().train()
    expected = lyapunov_spectrum(model, INPUTS).exponents
    with ThreadPoolExecutor(4) as pool:
        spectra = list(pool.map(lambda _: lyapunov_spectrum(model, INPUTS).exponents, range(12)))
    assert all(np.array_equal(exponents, expected) for exponents in spectra)
    assert model.training


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8, torch.bool])
def test_weights_that_are_no_real_numbers_are_refused(dtype: torch.dtype) -> None:
    cell = get_cell("gru", 2, 3)
    drawn = cell.initialise(generator(0, "weights"), 0.5)
    with pytest.raises(UserError, match=f"weight_hh.* has dtype {dtype}"):
        Network(cell, {**drawn, "weight_hh": drawn["weight_hh"].to(dtype)})


def test_differentiable_exponents_take_inputs_as_the_layer_does() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(2, 3)
    turned = INPUTS.transpose(0, 1)
    expected = lyapunov_spectrum(layer, turned).per_sequence
    np.testing.assert_allclose(lyapunov_exponents(layer, turned).detach().numpy(), expected, atol=1e-9)


def test_steps_whose_sequences_change_each_other_are_refused() -> None:
    start = torch.rand(3, 2, generator=generator(1, "test"), dtype=torch.float64)
    with pytest.raises(UserError, match="lets one sequence change another"):
        lyapunov_spectrum(lambda _, s: torch.tanh(2 * s - s.mean(0)), steps=5, initial_state=start)


def logistic(_: Tensor | None, x: Tensor) -> Tensor:
    return 4 * x * (1 - x)


@pytest.mark.filterwarnings("ignore:the .* steps of this autonomous map")
def test_fast_does_not_leave_a_chaotic_attractor() -> None:
    start = torch.rand(8, 1, generator=generator(2, "test"), dtype=torch.float64)
    spectrum = lyapunov_spectrum(logistic, steps=4000, initial_state=start, precision="fast")
    assert spectrum.exponents[0] == pytest.approx(math.log(2), abs=0.01)


def test_a_step_in_float32_alone_is_not_resolved() -> None:
    matrix = torch.eye(2)
    start = torch.full((1, 2), 0.3)
    spectrum = lyapunov_spectrum(
        lambda _, s: torch.tanh(s @ matrix), steps=5, initial_state=start, precision="fast", warmup=0
    )
    assert spectrum.resolved is not None
    assert not spectrum.resolved.any()


def test_one_diverged_sequence_leaves_the_others() -> None:
    start = torch.tensor([[0.3], [5.0], [0.4]], dtype=torch.float64)
    spectrum = lyapunov_spectrum(logistic, steps=200, warmup=0, initial_state=start)
    alone = lyapunov_spectrum(logistic, steps=200, warmup=0, initial_state=start[::2])
    assert spectrum.status == "non-finite"
    np.testing.assert_array_equal(spectrum.per_sequence[::2], alone.per_sequence)
    assert np.isnan(spectrum.per_sequence[1]).all()
    assert spectrum.exponents[0] == alone.exponents[0]


def test_a_single_trajectory_has_a_standard_error() -> None:
    """log |f'| of the logistic map at r = 4 has the standard deviation pi / sqrt(12), but is correlated: its mean over
    n steps is within three errors of log 2 in nearly all runs."""
    starts = torch.rand(40, 1, generator=generator(3, "test"), dtype=torch.float64)
    scores = []
    for start in starts:
        spectrum = lyapunov_spectrum(logistic, steps=900, warmup=0, initial_state=start[None], check=False)
        assert spectrum.stderr[0] > 0
        scores.append((spectrum.exponents[0] - math.log(2)) / spectrum.stderr[0])
    assert np.mean(np.abs(scores) < 3) > 0.9
    few = lyapunov_spectrum(logistic, steps=50, warmup=0, initial_state=starts[:1], check=False)
    assert np.isnan(few.stderr).all()


def test_a_short_run_of_an_autonomous_map_is_warned_of() -> None:
    start = torch.full((1, 1), 0.3)
    with pytest.warns(UserWarning, match="counted from the first"):
        lyapunov_spectrum(logistic, steps=100, initial_state=start)
