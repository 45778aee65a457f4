"""Gradients of exponents against finite differences, exact derivatives, and arithmetic of many digits."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import LyapunovRegularizer, lyapunov_exponents, lyapunov_spectrum
from aelle_core.cells import Network, cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from tests.helpers.references import arrays_of, reference_spectrum

DRIVEN = [name for name in cells if name != "rank1"]
KINDS = ("full", "hidden")


def double_network(name: str, units: int = 5, features: int = 2, gain: float = 1.0) -> Network:
    cell = get_cell(name, features, units)
    drawn = cell.initialise(generator(1, name), 0.6)
    return Network(cell, {key: (gain * value.double()).requires_grad_() for key, value in drawn.items()})


def sequences(batch: int = 3, steps: int = 12, features: int = 2) -> Tensor:
    return torch.randn(batch, steps, features, dtype=torch.float64, generator=generator(3, "inputs"))


def slope(function: Callable[[float], np.ndarray], h: float) -> np.ndarray:
    """The derivative at 0 by five points: an error of h^4."""
    near, far = function(h) - function(-h), function(2 * h) - function(-2 * h)
    return (8 * near - far) / (12 * h)


def along(values: Tensor, directions: dict[str, Tensor], network: Network) -> float:
    gradients = torch.autograd.grad(values, list(network.parameters.values()), retain_graph=True)
    return float(
        sum((gradient * directions[name]).sum() for name, gradient in zip(network.parameters, gradients, strict=True))
    )


def moved(network: Network, directions: dict[str, Tensor], by: float) -> Network:
    parameters = {name: (value + by * directions[name]).detach() for name, value in network.parameters.items()}
    return Network(network.cell, parameters, network.constants)


def drawn_directions(network: Network) -> dict[str, Tensor]:
    source = generator(5, "directions")
    return {
        name: torch.randn(value.shape, dtype=torch.float64, generator=source)
        for name, value in network.parameters.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DRIVEN)
def test_gradients_are_those_of_finite_differences(name: str, kind: str) -> None:
    network, inputs = double_network(name), sequences()
    directions = drawn_directions(network)
    for k in (None, 2):
        exponents = lyapunov_exponents(network, inputs, jacobian=kind, k=k)
        alive = exponents.isfinite()
        weights = torch.randn(exponents.shape, dtype=torch.float64, generator=generator(7, "weights"))

        def weighted(values: Tensor, alive: Tensor = alive, weights: Tensor = weights) -> Tensor:
            return (torch.where(alive, values, 0.0) * weights).sum()

        def at(by: float, k: int | None = k) -> np.ndarray:
            return weighted(lyapunov_exponents(moved(network, directions, by), inputs, jacobian=kind, k=k)).numpy()

        gradient = along(weighted(exponents), directions, network)
        assert gradient == pytest.approx(float(slope(at, 3e-6)), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", DRIVEN)
def test_values_are_those_of_lyapunov_spectrum(name: str) -> None:
    network, inputs = double_network(name), sequences()
    fixed = moved(network, drawn_directions(network), 0.0)
    expected = lyapunov_spectrum(fixed, inputs, check=False)
    exponents = np.sort(lyapunov_exponents(network, inputs).detach().numpy().mean(axis=0))[::-1]
    np.testing.assert_allclose(exponents, expected.exponents, atol=1e-8)


@pytest.mark.parametrize("options", [{"segment": 4}, {"segment": 5, "k": 2}, {"every": 3}, {"warmup": 5, "segment": 3}])
def test_segments_and_rarer_factorisations_change_nothing(options: dict[str, int]) -> None:
    network, inputs = double_network("gru"), sequences()
    plain = {name: value for name, value in options.items() if name in ("k", "warmup")}
    with_options, without = lyapunov_exponents(network, inputs, **options), lyapunov_exponents(network, inputs, **plain)
    torch.testing.assert_close(with_options, without, rtol=0, atol=1e-12)
    directions = drawn_directions(network)
    weights = torch.arange(1.0, with_options.shape[1] + 1, dtype=torch.float64)
    first, second = (along((exponents * weights).sum(), directions, network) for exponents in (with_options, without))
    assert first == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize(("name", "gain"), [("rnn", 30.0), ("rnn", 100.0), ("gru", 100.0), ("cornn", 30.0)])
def test_gradients_of_exponents_down_to_minus_two_hundred_are_right(name: str, gain: float) -> None:
    network = double_network(name, units=4, gain=gain)
    inputs, directions = sequences(1, 6), drawn_directions(double_network(name, units=4))
    exponents = lyapunov_exponents(network, inputs)

    def at(by: float) -> np.ndarray:
        return reference_spectrum(name, arrays_of(moved(network, directions, by)), inputs[0].numpy())

    gradients = [along(exponents[0, i], directions, network) for i in range(exponents.shape[1])]
    np.testing.assert_allclose(gradients, slope(at, 1e-4), rtol=1e-5, atol=1e-7)


def test_the_gradient_of_the_sum_is_that_of_the_volume_however_deep() -> None:
    network, inputs = double_network("rnn", gain=50.0), sequences(2, 9)
    directions = drawn_directions(network)
    exponents = lyapunov_exponents(network, inputs)
    assert float(exponents.detach().min()) < -30
    gradient = along(exponents.sum(), directions, network)
    weights, inner, bias = (network.parameters[name] for name in ("weight_hh", "weight_ih", "bias_ih"))
    h, volume = torch.zeros(2, 5, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for step in range(9):
        a = inputs[:, step] @ inner.mT + bias + network.parameters["bias_hh"] + h @ weights.mT
        h = torch.tanh(a)
        e = torch.exp(-2 * a.abs())
        volume = volume + (math.log(4) - 2 * a.abs() - 2 * torch.log1p(e)).sum()
    volume = volume / 9 + 2 * torch.linalg.slogdet(weights).logabsdet
    assert gradient == pytest.approx(along(volume, directions, network), rel=1e-9)


def test_exponents_of_a_linear_map_have_the_derivatives_of_its_eigenvalues() -> None:
    matrix = torch.tensor([[0.9, 0.3], [0.0, 0.2]], dtype=torch.float64, requires_grad=True)

    def step(_: Tensor | None, state: Tensor) -> Tensor:
        return state @ matrix.mT

    start = torch.ones(1, 2, dtype=torch.float64)
    exponents = lyapunov_exponents(step, steps=60, warmup=40, initial_state=start)
    torch.testing.assert_close(exponents, torch.tensor([[math.log(0.9), math.log(0.2)]], dtype=torch.float64))
    (first,) = torch.autograd.grad(exponents[0, 0], matrix, retain_graph=True)
    (second,) = torch.autograd.grad(exponents[0, 1], matrix)
    # d lambda / d A = left x right eigenvector over their product: (1, 3/7) and (1, 0), (0, 1) and (-3/7, 1)
    torch.testing.assert_close(first, torch.tensor([[1.0, 0.0], [3 / 7, 0.0]], dtype=torch.float64) / 0.9)
    torch.testing.assert_close(second, torch.tensor([[0.0, 0.0], [-3 / 7, 1.0]], dtype=torch.float64) / 0.2)


@pytest.mark.filterwarnings("ignore:the largest exponent")
def test_the_sum_of_henon_falls_with_the_logarithm_of_b() -> None:
    b = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    a = torch.tensor(1.4, dtype=torch.float64, requires_grad=True)

    def henon(_: Tensor | None, state: Tensor) -> Tensor:
        x, y = state.unbind(-1)
        return torch.stack([1 - a * x**2 + y, b * x], dim=-1)

    total = lyapunov_exponents(henon, steps=20, initial_state=torch.zeros(1, 2)).sum()
    by_a, by_b = torch.autograd.grad(total, [a, b])
    assert float(by_b) == pytest.approx(1 / 0.3, rel=1e-9)
    assert float(by_a) == pytest.approx(0.0, abs=1e-6)


def test_inputs_and_the_initial_state_have_gradients_too() -> None:
    network = double_network("lstm")
    inputs, start = sequences().requires_grad_(), torch.zeros(3, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, s: lyapunov_exponents(network, x, k=3, initial_state=s), (inputs[:, :6], start), atol=1e-6
    )


def test_layers_of_torch_get_gradients_in_their_own_precision() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(2, 4, num_layers=2, batch_first=True)
    exponents = lyapunov_exponents(layer, sequences().float())
    expected = lyapunov_spectrum(layer, sequences().float(), check=False)
    np.testing.assert_allclose(np.sort(exponents.detach().mean(0).numpy())[::-1], expected.exponents, atol=1e-7)
    exponents.sum().backward()
    for weight in layer.parameters():
        assert weight.grad is not None
        assert weight.grad.dtype == torch.float32
        assert bool(weight.grad.isfinite().all())


def test_dead_directions_are_minus_infinity_and_pass_no_gradient() -> None:
    weights = torch.diag(torch.tensor([0.0, 0.5, 0.7], dtype=torch.float64)).requires_grad_()

    def step(_: Tensor | None, state: Tensor) -> Tensor:
        return state @ weights.mT

    exponents = lyapunov_exponents(step, steps=7, initial_state=torch.ones(1, 3))
    assert sorted(exponents[0].tolist()) == pytest.approx([-math.inf, math.log(0.5), math.log(0.7)])
    (gradient,) = torch.autograd.grad(exponents.nan_to_num(neginf=0).sum(), weights)
    torch.testing.assert_close(gradient, torch.diag(torch.tensor([0.0, 2.0, 1 / 0.7], dtype=torch.float64)))


def test_chaos_is_warned_of_and_truncation_bounds_the_gradient() -> None:
    r = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)

    def logistic(_: Tensor | None, state: Tensor) -> Tensor:
        return r * state * (1 - state)

    start = torch.full((1, 1), 0.3, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"the exact gradient grows by a factor of about e\^.* truncate="):
        whole = lyapunov_exponents(logistic, steps=60, initial_state=start)
    cut = lyapunov_exponents(logistic, steps=60, initial_state=start, truncate=1)
    torch.testing.assert_close(whole, cut)
    (wild,), (tame,) = torch.autograd.grad(whole.sum(), r), torch.autograd.grad(cut.sum(), r)
    assert float(tame) == pytest.approx(1 / 4)  # log |r (1 - 2 x)| with x held fixed
    assert abs(float(wild)) > 1e6


def test_the_regulariser_moves_exponents_to_their_target() -> None:
    torch.manual_seed(0)
    layer, inputs, penalty = nn.GRU(2, 6, batch_first=True), sequences().float(), LyapunovRegularizer(2, -0.1)
    before = penalty(layer, inputs)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(25):
        optimiser.zero_grad()
        loss = penalty(layer, inputs)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05 * float(before.detach())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lyapunov_exponents(nn.GRU(2, 3), None), r"inputs=None|steps=None"),
        (
            lambda: lyapunov_exponents(nn.GRU(2, 3, batch_first=True), torch.zeros(1, 4, 5)),
            r"inputs have shape \(1, 4, 5\)",
        ),
        (
            lambda: lyapunov_exponents(nn.GRU(2, 3, batch_first=True), torch.zeros(1, 4, 2), k=4),
            r"k=4: expected a whole number from 1 to 3",
        ),
        (lambda: lyapunov_exponents(nn.Linear(2, 2), torch.zeros(1, 4, 2)), "a step function has one state"),
        (lambda: LyapunovRegularizer(0), "k=0"),
        (lambda: LyapunovRegularizer(2, torch.zeros(3)), "target="),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()
