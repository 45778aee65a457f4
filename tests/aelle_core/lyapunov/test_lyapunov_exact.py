"""Spectra against exact answers and higher precision."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, cells, get_cell
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import pack_spectra, stretches
from aelle_core.lyapunov.kernels.orthogonalisation import by_elimination, by_sorted_householder
from aelle_core.lyapunov.kernels.tangents import TorchTangents
from tests.helpers.references import reference_spectrum
from tests.helpers.spectra import stacked


def henon(_: Tensor | None, state: Tensor) -> Tensor:
    x, y = state.unbind(-1)
    return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x], dim=-1)


def test_henon_map() -> None:
    """0.4192, -1.6232 (Sprott 2003); the sum is log 0.3 exactly."""
    start = torch.linspace(-0.1, 0.1, 400).unsqueeze(1).repeat(1, 2)
    spectrum = lyapunov_spectrum(henon, steps=1100, warmup=100, initial_state=start, check=False)
    np.testing.assert_allclose(spectrum.exponents, [0.4192, -1.6232], atol=4 * spectrum.stderr.max())
    assert spectrum.stderr.max() < 1e-3
    assert spectrum.exponents.sum() == pytest.approx(math.log(0.3), abs=1e-12)
    assert spectrum.sum_rule_residual < 1e-12
    assert spectrum.kaplan_yorke_dimension == pytest.approx(1.2583, abs=2e-3)
    assert spectrum.entropy_rate == spectrum.maximum


def test_linear_map_has_the_logarithms_of_its_eigenvalues() -> None:
    matrix = torch.randn(6, 6, generator=generator(0, "test"), dtype=torch.float64)
    eigenvalues = torch.linalg.eigvals(matrix).abs().log().sort(descending=True).values
    long = lyapunov_spectrum(
        lambda _, state: 1e-3 * state @ matrix.T, steps=3000, warmup=500, initial_state=torch.zeros(1, 6), check=False
    )
    np.testing.assert_allclose(long.exponents, eigenvalues.numpy() + math.log(1e-3), atol=2e-3)


def test_triangular_linear_map_is_exact_from_the_first_step() -> None:
    diagonal = torch.tensor([3.0, 2.0, 0.5, 0.01], dtype=torch.float64)
    matrix = torch.diag(diagonal) + torch.triu(torch.ones(4, 4, dtype=torch.float64), diagonal=1)
    spectrum = lyapunov_spectrum(lambda _, state: state @ matrix.T, steps=50, initial_state=torch.zeros(1, 4))
    np.testing.assert_allclose(spectrum.exponents, diagonal.log().numpy(), atol=1e-12)
    assert spectrum.resolved is not None
    assert spectrum.resolved.all()


@pytest.mark.parametrize("kernel", ["compiled", "torch"])
@pytest.mark.parametrize("sequences", [2, 10])
def test_states_that_nothing_couples_keep_their_own_exponents(
    kernel: str, sequences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linear recurrent unit has two exponents log |lambda| for each lambda, far apart from each other's: over many
    steps rounding would turn slow directions into fast ones if it mixed them. All are resolved."""
    if kernel == "torch":
        monkeypatch.setattr(stretches, "_kernel_for", lambda *_: TorchTangents)
    cell = get_cell("lru", 1, 12)
    network = Network(cell, cell.initialise(generator(0, "weights"), 0.3))
    inputs = torch.randn(sequences, 200, 1, generator=generator(0, "test"))
    spectrum = lyapunov_spectrum(network, inputs)
    sizes = -network.parameters["nu"].double().flatten().exp()
    np.testing.assert_allclose(spectrum.exponents, sizes.repeat(2).sort(descending=True).values.numpy(), atol=1e-13)
    assert spectrum.resolved is not None and spectrum.resolved.all()
    assert spectrum.rounding_error is not None and spectrum.rounding_error.max() < 1e-14


@pytest.mark.parametrize("steps", [100, 250, 1001])
def test_exponents_that_never_change_have_no_standard_error(steps: int) -> None:
    """However steps share factorisations: growth is counted in the batch where it happens."""
    jacobians = np.tile(np.diag([0.9, 0.8, 0.7]), (1, steps, 1, 1))
    assert lyapunov_spectrum(jacobians).stderr.max() < 1e-14


def test_order_of_the_product() -> None:
    """With J_2 J_1, not J_1 J_2 or transposes: two steps of fixed matrices against a singular value sum rule."""
    first = torch.tensor([[1.0, 5.0], [0.0, 0.1]], dtype=torch.float64)
    second = torch.tensor([[0.1, 0.0], [5.0, 1.0]], dtype=torch.float64)
    inputs = torch.tensor([[[0.0], [1.0]]])

    def step(x: Tensor | None, state: Tensor) -> Tensor:
        assert x is not None
        return torch.where(x == 0, state @ first.T, state @ second.T)

    spectrum = lyapunov_spectrum(step, inputs, initial_state=torch.zeros(1, 2))
    _, r = np.linalg.qr((second @ first).numpy())
    np.testing.assert_allclose(spectrum.exponents, np.sort(np.log(np.abs(np.diag(r))) / 2)[::-1], atol=1e-12)
    _, transposed = np.linalg.qr((first.T @ second.T).numpy())
    assert abs(np.log(abs(transposed[0, 0])) / 2 - spectrum.maximum) > 0.1


def test_orthogonal_network_without_nonlinearity_is_zero() -> None:
    """relu keeps positive states: with an orthogonal permutation and positive states every exponent is 0."""
    cell = get_cell("rnn_relu", 1, 5)
    permutation = torch.eye(5)[[1, 2, 3, 4, 0]]
    network = Network(
        cell,
        {"weight_ih": torch.ones(5, 1), "weight_hh": permutation, "bias_ih": torch.zeros(5), "bias_hh": torch.zeros(5)},
    )
    spectrum = lyapunov_spectrum(network, torch.ones(3, 40, 1))
    np.testing.assert_allclose(spectrum.exponents, np.zeros(5), atol=1e-13)
    assert spectrum.kaplan_yorke_dimension == pytest.approx(5, abs=1e-9) or spectrum.kaplan_yorke_dimension <= 5


def test_ornn_at_rest_is_zero() -> None:
    cell = get_cell("ornn", 2, 6)
    parameters = {**cell.initialise(generator(0, "weights"), 1.0), "b": torch.zeros(6)}
    spectrum = lyapunov_spectrum(Network(cell, parameters), torch.zeros(2, 30, 2))
    np.testing.assert_allclose(spectrum.exponents, np.zeros(6), atol=1e-12)


def lorenz(_: Tensor | None, state: Tensor, dt: float = 0.01) -> Tensor:
    def flow(s: Tensor) -> Tensor:
        x, y, z = s.unbind(-1)
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], dim=-1)

    k1 = flow(state)
    k2 = flow(state + dt / 2 * k1)
    k3 = flow(state + dt / 2 * k2)
    k4 = flow(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def test_lorenz_flow() -> None:
    """0.906, 0, -14.57 per unit of time (Sprott 2003)."""
    start = torch.randn(200, 3, generator=generator(0, "test"), dtype=torch.float64) + torch.tensor([0.0, 0.0, 25.0])
    spectrum = lyapunov_spectrum(lorenz, steps=3000, warmup=1000, initial_state=start, check=False)
    exponents, stderr = spectrum.exponents / 0.01, spectrum.stderr / 0.01
    np.testing.assert_allclose(exponents, [0.906, 0.0, -14.572], atol=max(0.03, 4 * stderr.max()))


def test_maximum_exponent_against_two_nearby_trajectories() -> None:
    """The oldest estimate there is: how fast a state and its neighbour separate, pulled back each step."""
    cell = get_cell("rnn", 1, 40)
    weights = torch.randn(40, 40, generator=generator(0, "test"), dtype=torch.float64) * 2.5 / 40**0.5
    zeros = {"weight_ih": torch.zeros(40, 1), "bias_ih": torch.zeros(40), "bias_hh": torch.zeros(40)}
    network = Network(cell, {**zeros, "weight_hh": weights})
    state = 0.5 * torch.randn(20, 40, generator=generator(1, "test"), dtype=torch.float64)
    steps, warmup, distance = 1200, 200, 1e-8
    spectrum = lyapunov_spectrum(
        network, torch.zeros(20, steps, 1), initial_state=state, warmup=warmup, k=3, check=False
    )
    direction = torch.randn(20, 40, generator=generator(2, "test"), dtype=torch.float64)
    other = state + distance * direction / direction.norm(dim=1, keepdim=True)
    total = torch.zeros(20, dtype=torch.float64)
    for time in range(steps):
        state, other = torch.tanh(state @ weights.T), torch.tanh(other @ weights.T)
        apart = (other - state).norm(dim=1)
        if time >= warmup:
            total += (apart / distance).log()
        other = state + (other - state) * (distance / apart).unsqueeze(1)
    expected = total / (steps - warmup)
    assert spectrum.maximum > 0.05
    assert spectrum.maximum == pytest.approx(expected.mean().item(), abs=0.01)


SATURATED = [
    *(("rnn", recurrent, driven) for recurrent, driven in ((20.0, 20.0), (10.0, 30.0), (100.0, 100.0))),
    ("lstm", 100.0, 100.0),
    ("gru", 100.0, 100.0),
    ("gru", 20.0, 300.0),
]


@pytest.mark.parametrize(("name", "recurrent", "driven"), SATURATED)
def test_saturated_networks_against_hundreds_of_digits(name: str, recurrent: float, driven: float) -> None:
    """Where QR in float64 is off by tens of nats: gains on the recurrent and on the input weights, 32 units.

    A saturated GRU's Jacobians are graded by rows and by columns, which no kernel in float64 follows to the end; its
    exponents are right as far as they are marked so, and some are.
    """
    source = generator(0, "test")
    cell = get_cell(name, 4, 32)
    bound = 32**-0.5
    drawn = {
        key: bound * (2 * torch.rand(shape, generator=source, dtype=torch.float64) - 1)
        for key, shape in cell.parameter_shapes().items()
    }
    parameters = {
        **drawn,
        "weight_hh": recurrent * drawn["weight_hh"],
        "weight_ih": driven * drawn["weight_ih"],
    }
    inputs = torch.randn(1, 3, 4, generator=source, dtype=torch.float64)
    spectrum = lyapunov_spectrum(Network(cell, parameters), inputs, jacobian="hidden")
    arrays = {key: value.numpy() for key, value in parameters.items()}
    expected = np.sort(reference_spectrum(name, arrays, inputs[0].numpy(), jacobian="hidden"))[::-1]
    error = np.abs(spectrum.exponents - expected) / np.maximum(1, np.abs(expected))
    assert spectrum.resolved is not None
    assert error[spectrum.resolved].max() < 1e-6
    if name != "gru":
        assert error.max() < 1e-8
        assert spectrum.resolved.all()
    assert spectrum.resolved.sum() >= 16


def test_unresolved_exponents_are_told() -> None:
    """A matrix whose last direction drowns in rounding: two equal rows up to the last place."""
    matrix = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], dtype=torch.float64) / 3
    spectrum = lyapunov_spectrum(lambda _, state: state @ matrix.T, steps=3, initial_state=torch.zeros(1, 3))
    assert spectrum.resolved is not None
    assert spectrum.resolved[:2].all()
    assert not spectrum.resolved[2]


@pytest.mark.parametrize("name", list(cells))
@pytest.mark.parametrize("kind", ["full", "hidden"])
def test_sum_rule_for_every_cell(name: str, kind: str) -> None:
    cell = get_cell(name, 3, 7)
    drawn = [cell.initialise(generator(seed, "weights"), 0.4) for seed in range(2)]
    pack = Network(cell, stacked(drawn))
    inputs = torch.randn(4, 20, 3, generator=generator(1, "test"))
    for index, spectrum in enumerate(pack_spectra(pack, inputs, jacobian=kind)):  # type: ignore[arg-type]
        assert spectrum.sum_rule_residual < 1e-9
        alone = lyapunov_spectrum(Network(cell, drawn[index]), inputs, jacobian=kind)  # type: ignore[arg-type]
        np.testing.assert_allclose(alone.exponents, spectrum.exponents, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_stacked_layers_against_automatic_differentiation(kind: type[nn.RNNBase]) -> None:
    """Three layers as one system: the same exponents as torch's own layer under forward-mode differentiation."""
    torch.manual_seed(0)
    layer = kind(2, 4, num_layers=3, batch_first=True).double()
    inputs = torch.randn(2, 9, 2, dtype=torch.float64)
    parts = 2 if kind is nn.LSTM else 1
    cell_type = {nn.RNN: nn.RNNCell, nn.GRU: nn.GRUCell, nn.LSTM: nn.LSTMCell}[kind]
    single = []
    for index in range(3):
        cell = cell_type(2 if index == 0 else 4, 4).double()
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict({name: getattr(layer, f"{name}_l{index}") for name in names})
        single.append(cell)

    def step(x: Tensor | None, state: Tensor) -> Tensor:
        below, new = x, []
        for cell, old in zip(single, state.split(4 * parts, dim=-1), strict=True):
            if parts == 2:
                h, c = cell(below, old.split(4, dim=-1))
                new += [h, c]
            else:
                h = cell(below, old)
                new.append(h)
            below = h
        return torch.cat(new, dim=-1)

    expected = lyapunov_spectrum(step, inputs, initial_state=torch.zeros(2, 12 * parts, dtype=torch.float64))
    spectrum = lyapunov_spectrum(layer, inputs)
    np.testing.assert_allclose(spectrum.exponents, expected.exponents, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("orthogonalise", [by_elimination, by_sorted_householder])
def test_orthogonalisation_of_dead_and_graded_matrices(
    orthogonalise: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> None:
    matrix = torch.randn(5, 8, 8, generator=generator(0, "test"), dtype=torch.float64)
    matrix[1, 3] = 0.0
    matrix[2] = 0.0
    matrix[3] *= torch.logspace(0, -200, 8, dtype=torch.float64).unsqueeze(1)
    q, radii = orthogonalise(matrix)
    logarithms = radii.log()
    identity = torch.eye(8, dtype=torch.float64).expand(5, -1, -1)
    torch.testing.assert_close(q.mT @ q, identity, rtol=0, atol=1e-13)
    assert logarithms[1].isneginf().sum() == 1
    assert logarithms[2].isneginf().all()
    determinant = torch.linalg.slogdet(matrix[3] / torch.logspace(0, -200, 8, dtype=torch.float64).unsqueeze(1))
    expected = determinant.logabsdet + torch.logspace(0, -200, 8, dtype=torch.float64).log().sum()
    assert logarithms[3].sum().item() == pytest.approx(expected.item(), abs=1e-9)
