"""Exponents of closed loops: their gradients against finite differences, their values against lyapunov_spectrum."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import ClosedLoop, LyapunovRegularizer, lyapunov_exponents, lyapunov_spectrum
from aelle_core.cells import Network, cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator

FEATURES, UNITS, STEPS = 2, 4, 7


def drawn(name: str) -> tuple[Network, Tensor, Tensor]:
    cell, source = get_cell(name, FEATURES, UNITS), generator(2, "readout")
    weights = {key: value.double().requires_grad_() for key, value in cell.initialise(generator(1, name), 0.6).items()}
    readout = torch.randn(FEATURES, UNITS, dtype=torch.float64, generator=source)
    bias = 0.1 * torch.randn(FEATURES, dtype=torch.float64, generator=source)
    return Network(cell, weights), readout.requires_grad_(), bias.requires_grad_()


def context(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, FEATURES, dtype=torch.float64, generator=generator(3, "inputs"))


def leading(name: str) -> tuple[int | None, ...]:
    """How many exponents are compared: units of relu at rest leave Jacobians without full rank, whose last directions
    are rounding, in finite differences too."""
    return (1,) if name == "rnn_relu" else (None, 3)


def slope(function: Callable[[float], np.ndarray], h: float = 3e-6) -> np.ndarray:
    near, far = function(h) - function(-h), function(2 * h) - function(-2 * h)
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", list(cells))
def test_gradients_of_closed_loops_are_those_of_finite_differences(name: str, residual: bool) -> None:
    """With respect to all weights, the readout and what is read before, through the way to the start too."""
    network, readout, bias = drawn(name)
    given = context().requires_grad_()
    tensors = [*network.parameters.values(), readout, bias, given]
    source = generator(5, "directions")
    directions = [torch.randn(tensor.shape, dtype=torch.float64, generator=source) for tensor in tensors]

    def exponents(by: float, k: int | None) -> Tensor:
        *weights, last_readout, last_bias, inputs = (
            tensor if by == 0 else (tensor + by * way).detach() for tensor, way in zip(tensors, directions, strict=True)
        )
        moved = Network(network.cell, dict(zip(network.parameters, weights, strict=True)))
        loop = ClosedLoop(moved, (last_readout, last_bias), residual=residual)
        return lyapunov_exponents(loop, inputs, steps=STEPS, k=k)

    for k in leading(name):
        at_start = exponents(0.0, k)
        alive = at_start.isfinite()
        weights = torch.randn(at_start.shape, dtype=torch.float64, generator=generator(7, "weights"))

        def weighted(values: Tensor, alive: Tensor = alive, weights: Tensor = weights) -> Tensor:
            return (torch.where(alive, values, 0.0) * weights).sum()

        def at(by: float, k: int | None = k, weighted: Callable[[Tensor], Tensor] = weighted) -> np.ndarray:
            return weighted(exponents(by, k)).detach().numpy()

        gradients = torch.autograd.grad(weighted(at_start), tensors, allow_unused=True)
        pairs = [(gradient, way) for gradient, way in zip(gradients, directions, strict=True) if gradient is not None]
        assert float(sum((gradient * way).sum() for gradient, way in pairs)) == pytest.approx(
            float(slope(at)), rel=1e-8, abs=1e-8
        )


@pytest.mark.parametrize("name", list(cells))
def test_values_are_those_of_lyapunov_spectrum_of_the_closed_loop(name: str) -> None:
    network, readout, bias = drawn(name)
    loop = ClosedLoop(network, (readout, bias), residual=True)
    exponents = lyapunov_exponents(loop, context(), steps=STEPS)
    without = lyapunov_exponents(ClosedLoop(network, (readout, bias)), context(), steps=STEPS)
    assert (without.isneginf().sum(dim=1) >= FEATURES).all()  # an output that follows from h has no direction left
    expected = lyapunov_spectrum(loop, context(), steps=STEPS, check=False)
    values = np.sort(exponents.detach().numpy().mean(axis=0))[::-1]
    np.testing.assert_allclose(values[: leading(name)[0]], expected.exponents[: leading(name)[0]], atol=1e-8)


def test_gradients_reach_torch_s_own_layers_and_a_penalty_moves_a_closed_loop_to_its_target() -> None:
    torch.manual_seed(0)
    layer, readout = nn.LSTM(2, 5, num_layers=2, batch_first=True), nn.Linear(5, 2)
    loop, penalty = ClosedLoop(layer, readout), LyapunovRegularizer(k=2, target=-0.05)
    parameters = [*layer.parameters(), *readout.parameters()]
    adam = torch.optim.Adam(parameters, 0.02)
    losses = []
    for _ in range(12):
        adam.zero_grad()
        loss = penalty(loop, context(1), steps=10)
        loss.backward()
        assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "steps=None: a ClosedLoop needs the number of steps"),
        ({"steps": 5, "jacobian": "hidden"}, "jacobian='hidden' was asked of a ClosedLoop"),
        ({"steps": 5, "initial_state": torch.zeros(1, 3)}, r"initial_state has shape \(1, 3\): expected \(2, 4\)"),
    ],
)
def test_closed_loops_that_cannot_be_followed_are_refused(options: dict, message: str) -> None:
    network, readout, bias = drawn("gru")
    with pytest.raises(UserError, match=message):
        lyapunov_exponents(ClosedLoop(network, (readout, bias)), context(), **options)
    with pytest.raises(UserError, match="a readout that is not linear"):
        lyapunov_exponents(ClosedLoop(network, torch.sin, feed=lambda y: y[:, :2]), context(), steps=3)
