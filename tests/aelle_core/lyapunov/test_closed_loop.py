"""Closed loops: Jacobians against automatic differentiation and finite differences, spectra against step functions."""

import doctest
import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import ClosedLoop, lyapunov_spectrum
from aelle_core.cells import Network, cells, get_cell
from aelle_core.cells.rnn import TanhRNN
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov import pack_spectra
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems import ClosedLoopSystem, StepSystem
from tests.helpers.spectra import stacked

FEATURES, UNITS, NETWORKS = 2, 5, 3


@pytest.fixture(params=list(cells))
def loop(request: pytest.FixtureRequest) -> ClosedLoop:
    """A pack of every cell, with and without the residual."""
    source = torch.Generator().manual_seed(1)
    cell = get_cell(request.param, FEATURES, UNITS)
    drawn = [cell.initialise(source, 0.6) for _ in range(NETWORKS)]
    parameters = {name: values.double() for name, values in stacked(drawn).items()}
    weight = 0.5 * torch.randn(NETWORKS, FEATURES, UNITS, generator=source, dtype=torch.float64)
    bias = 0.1 * torch.randn(NETWORKS, FEATURES, generator=source, dtype=torch.float64)
    return ClosedLoop(Network(cell, parameters), (weight, bias), residual=[0, 1, 1])


def driven(loop: ClosedLoop) -> ClosedLoopSystem:
    inputs = torch.randn(2, 6, FEATURES, generator=torch.Generator().manual_seed(2))
    system = loop.system(inputs)
    assert isinstance(system, ClosedLoopSystem)
    return system


def advanced(system: ClosedLoopSystem, joined: Tensor) -> Tensor:
    """One step of (networks, rows, size), written with the cell's own step."""
    (cell,), (weights,) = system.cells, system.weights
    x = joined[..., cell.state_size :]
    new = cell.step(weights, cell.drive(weights, x), cell.split(joined[..., : cell.state_size]))
    y = new[cell.parts[0]] @ system.weight.mT + system.bias.unsqueeze(1) + system.residual[:, None, None] * x
    return torch.cat([cell.join(new), y], dim=-1)


def plain(system: ClosedLoopSystem, carried: Tensor) -> Tensor:
    """Without the numbers that saturated cells carry along."""
    return torch.cat([carried[..., : system.state_size], carried[..., -FEATURES:]], dim=-1)


def test_jacobians_equal_automatic_differentiation_and_finite_differences(loop: ClosedLoop) -> None:
    system = driven(loop)
    start = system.start(1)
    last, jacobians, finite, _ = system.linearise(0, 2, start, system.size, None)
    assert bool(finite.all())
    first = plain(system, start)
    second = advanced(system, first)
    torch.testing.assert_close(plain(system, last), advanced(system, second))
    source = torch.Generator().manual_seed(3)
    for step, state in enumerate((first, second)):
        jacobian = jacobians.at(step).unflatten(0, (NETWORKS, 2))
        direction = torch.randn(state.shape, generator=source, dtype=torch.float64)
        along = (jacobian @ direction.unsqueeze(-1)).squeeze(-1)
        _, expected = torch.func.jvp(lambda before: advanced(system, before), (state,), (direction,))
        torch.testing.assert_close(along, expected, rtol=1e-9, atol=1e-11)
        ahead, behind = (advanced(system, state + side * 1e-6 * direction) for side in (1, -1))
        torch.testing.assert_close(along, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7)


def test_second_copies_differ_by_a_few_roundings_alone(loop: ClosedLoop) -> None:
    system = driven(loop)
    rounding = Rounding(system.like, 2, 4)
    last, jacobians, _, _ = system.linearise(0, 3, system.start(2), system.size, rounding)
    first_copy, second_copy = last.unflatten(1, (2, 2)).unbind(1)
    assert not torch.equal(first_copy, second_copy)
    torch.testing.assert_close(first_copy, second_copy, rtol=1e-11, atol=1e-11)
    exact = system.linearise(0, 3, system.start(1), system.size, None)[1]
    copies = jacobians.at(1).unflatten(0, (NETWORKS, 2, 2))
    torch.testing.assert_close(copies[:, 0].flatten(0, 1), exact.at(1), rtol=1e-12, atol=1e-14)
    assert not torch.equal(copies[:, 1], copies[:, 0])


def test_a_forecast_begins_with_the_step_behind_the_last_input() -> None:
    """A network that knows the system exactly forecasts the data, step by step in their place."""
    turn = torch.tensor([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]], dtype=torch.float64)
    series = torch.stack([torch.linalg.matrix_power(turn, step)[:, 0] for step in range(30)])[None]
    context, after = series[:, :12], series[:, 12:]

    class Turning(nn.Module):
        def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
            return x @ turn.T, torch.zeros(len(x), 1, dtype=x.dtype)

    small = 1e-4  # where tanh is a line
    none = torch.zeros(2, dtype=torch.float64)
    weights = {"weight_ih": small * turn, "weight_hh": torch.zeros_like(turn), "bias_ih": none, "bias_hh": none}
    linear = Network(TanhRNN(2, 2), weights)
    readout = (torch.eye(2).double() / small, none)
    for loop in (ClosedLoop(Turning()), ClosedLoop(linear, readout)):
        torch.testing.assert_close(loop.outputs(context, after.shape[1])[0], after, rtol=0, atol=1e-6)


def test_the_free_run_is_the_step_repeated(loop: ClosedLoop) -> None:
    inputs = torch.randn(2, 6, FEATURES, generator=torch.Generator().manual_seed(2))
    system = driven(loop)
    state = plain(system, system.start(1))
    expected = [state[..., -FEATURES:]]
    for _ in range(3):
        state = advanced(system, state)
        expected.append(state[..., -FEATURES:])
    torch.testing.assert_close(loop.outputs(inputs, 4), torch.stack(expected, dim=2))


def gru() -> tuple[nn.GRU, nn.Linear, Tensor]:
    torch.manual_seed(0)
    return nn.GRU(3, 8, batch_first=True), nn.Linear(8, 3), torch.randn(4, 12, 3)


class Forecaster(nn.Module):
    """A person's module: forward(x, state) -> (y, state)."""

    def __init__(self, layer: nn.RNNBase, readout: nn.Linear) -> None:
        super().__init__()
        self.layer, self.readout = layer, readout

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        y, state = self.layer(x.unsqueeze(1), state)
        return self.readout(y[:, -1]), state


@pytest.mark.parametrize("residual", [False, True])
def test_a_module_a_function_and_the_structured_loop_have_one_spectrum(residual: bool) -> None:
    layer, readout, inputs = gru()
    how = {"steps": 60, "warmup": 10}
    structured = lyapunov_spectrum(ClosedLoop(layer, readout, residual=residual), inputs, **how)
    assert structured.size == 11 and structured.status == "ok"
    function = lyapunov_spectrum(ClosedLoop(layer, nn.Sequential(readout), residual=residual), inputs, **how)
    np.testing.assert_allclose(function.exponents[:8], structured.exponents[:8], atol=1e-9)  # the rest is dead


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_stacked_layers_equal_a_function_of_all_of_them(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(1)
    layer, readout = kind(2, 4, num_layers=2, batch_first=True), nn.Linear(4, 2)
    inputs = torch.randn(3, 8, 2)
    structured = lyapunov_spectrum(ClosedLoop(layer, readout, residual=True), inputs, steps=30, k=4)
    general = lyapunov_spectrum(ClosedLoop(layer, nn.Sequential(readout), residual=True), inputs, steps=30, k=4)
    np.testing.assert_allclose(structured.exponents, general.exponents, atol=1e-9)


def test_a_module_with_tuple_states_runs_as_its_layer_does() -> None:
    torch.manual_seed(2)
    cell, readout = nn.LSTMCell(2, 4), nn.Linear(4, 2)
    inputs = torch.randn(3, 8, 2)

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.readout = cell, readout

        def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            h, c = self.cell(x, state)
            return self.readout(h), (h, c)

    general, structured = ClosedLoop(Module(), residual=True), ClosedLoop(cell, readout, residual=True)
    assert isinstance(general.system(inputs), StepSystem)
    torch.testing.assert_close(general.outputs(inputs, 5), structured.outputs(inputs, 5))
    spectra = [lyapunov_spectrum(system, inputs, steps=20).exponents for system in (general, structured)]
    np.testing.assert_allclose(spectra[0], spectra[1], atol=1e-9)


def test_outputs_are_what_torch_gives_when_it_is_fed_by_hand() -> None:
    layer, readout, inputs = gru()
    outputs = ClosedLoop(layer, readout, residual=True).outputs(inputs, 5)[0]
    with torch.no_grad():
        hidden, state = layer.double()(inputs.double())
        readout.double()
        y = readout(hidden[:, -1]) + inputs[:, -1].double()
        for step in range(5):
            torch.testing.assert_close(outputs[:, step], y)
            hidden, state = layer(y.unsqueeze(1), state)
            y = readout(hidden[:, 0]) + y


def test_networks_of_a_pack_have_the_spectra_that_they_have_alone() -> None:
    source = torch.Generator().manual_seed(4)
    cell = get_cell("gru", 3, 6)
    parameters = {name: torch.randn(4, *shape, generator=source) for name, shape in cell.parameter_shapes().items()}
    readout = (torch.randn(4, 3, 6, generator=source), torch.randn(4, 3, generator=source))
    residual = [0, 1, 0, 1]
    inputs = torch.randn(2, 5, 3, generator=source)
    parameters["weight_hh"][2] = float("nan")
    together = pack_spectra(ClosedLoop(Network(cell, parameters), readout, residual=residual), inputs, steps=20, k=4)
    assert [spectrum.status for spectrum in together] == ["ok", "ok", "non-finite", "ok"]
    for network in (0, 1, 3):
        alone = ClosedLoop(
            Network(cell, {name: values[network] for name, values in parameters.items()}),
            (readout[0][network], readout[1][network]),
            residual=residual[network],
        )
        expected = lyapunov_spectrum(alone, inputs, steps=20, k=4, check=False)
        np.testing.assert_allclose(together[network].exponents, expected.exponents, atol=1e-12)


def test_a_loop_that_leaves_all_bounds_has_diverged() -> None:
    inputs = gru()[2]
    plain = nn.RNN(1, 2, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        for weight in plain.parameters():
            weight.fill_(1e3)
    spectrum = lyapunov_spectrum(ClosedLoop(plain, nn.Linear(2, 1)), inputs[..., :1].abs(), steps=400)
    assert spectrum.status == "diverged" and np.isnan(spectrum.exponents).all()


def test_mistakes_are_said_in_one_sentence() -> None:
    layer, readout, inputs = gru()
    with pytest.raises(UserError, match="without a readout"):
        ClosedLoop(layer)
    with pytest.raises(UserError, match=r"outputs of another size need feed="):
        ClosedLoop(layer, nn.Linear(8, 2))
    with pytest.raises(UserError, match="needs the number of steps"):
        lyapunov_spectrum(ClosedLoop(layer, readout), inputs)
    with pytest.raises(UserError, match=r"expected \(batch, time, 3\)"):
        lyapunov_spectrum(ClosedLoop(layer, readout), inputs[..., :2], steps=5)
    with pytest.raises(UserError, match=r"forward\(x, state\) -> \(y, state\)"):
        lyapunov_spectrum(ClosedLoop(nn.Linear(3, 3)), inputs, steps=5)
    with pytest.raises(UserError, match=r"the readout failed on torch.float64 states of .* sequences: .*dtype"):
        lyapunov_spectrum(ClosedLoop(layer, lambda h: h @ torch.ones(h.shape[-1], 3)), inputs, steps=5)


def test_the_example_in_the_documentation_runs() -> None:
    assert doctest.testmod(sys.modules["aelle_core.lyapunov.closed_loop"]).failed == 0
