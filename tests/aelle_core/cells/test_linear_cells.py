"""Cells of today against what their equations say at once, and against their papers' own form."""

import numpy as np
import pytest
import torch

from aelle_core.cells import Network, get_cell
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import lyapunov_spectrum

INPUTS = torch.randn(2, 60, 3, generator=generator(0, "inputs"))


def test_every_exponent_of_a_linear_recurrent_unit_is_the_logarithm_of_its_eigenvalue_twice() -> None:
    cell = get_cell("lru", 3, 8)
    parameters = cell.initialise(generator(0, "weights"), 0.5)
    exponents = lyapunov_spectrum(Network(cell, parameters), INPUTS, jacobian="full").exponents
    expected = -np.exp(parameters["nu"].double().numpy()).repeat(2)
    np.testing.assert_allclose(np.sort(exponents), np.sort(expected), rtol=1e-9)


def test_exponents_of_a_minimal_gru_are_the_mean_logarithms_of_its_gates() -> None:
    cell = get_cell("mingru", 3, 8)
    parameters = cell.initialise(generator(0, "weights"), 0.5)
    exponents = lyapunov_spectrum(Network(cell, parameters), INPUTS).exponents
    a = INPUTS.double() @ parameters["V"][:8].double().T + parameters["b"][:8].double()
    expected = torch.nn.functional.logsigmoid(-a).mean(dim=(0, 1)).numpy()
    np.testing.assert_allclose(np.sort(exponents), np.sort(expected), rtol=1e-9)


def test_an_exprnn_whose_units_all_speak_has_no_growth_and_no_decay() -> None:
    cell = get_cell("exprnn", 3, 8)
    parameters = cell.initialise(generator(0, "weights"), 0.5)
    parameters["b"] = torch.full((8,), 0.1)
    spectrum = lyapunov_spectrum(Network(cell, parameters), INPUTS)
    np.testing.assert_allclose(spectrum.exponents, 0, atol=1e-12)


def test_an_slstm_is_its_paper_s_with_cell_and_normaliser() -> None:
    """c / n and log n against c' = f c + i z, n' = f n + i, h' = o c' / n' themselves."""
    cell = get_cell("slstm", 3, 6)
    network = Network(cell, cell.initialise(generator(0, "weights"), 0.9))
    weights = network.prepare(torch.float64)
    state = cell.initial_state(1, 2, like=INPUTS.double())
    h, c, n = torch.zeros(2, 6).double(), torch.zeros(2, 6).double(), torch.ones(2, 6).double()
    for time in range(60):
        x = INPUTS[None, :, time].double()
        state = cell.step(weights, cell.drive(weights, x), state)
        a = x[0] @ weights["W"][0].T + h @ weights["R"][0].T + weights["b"][0]
        a_i, a_f, a_z, a_o = a.chunk(4, dim=-1)
        i, f = torch.exp(a_i), torch.sigmoid(a_f)
        c, n = f * c + i * torch.tanh(a_z), f * n + i
        h = torch.sigmoid(a_o) * c / n
        for part, expected in (("h", h), ("y", c / n), ("s", n.log())):
            torch.testing.assert_close(state[part][0], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("large", [0.0, 60.0, 3000.0])
def test_an_slstm_neither_overflows_nor_loses_its_map_with_large_gates(large: float) -> None:
    cell = get_cell("slstm", 3, 6)
    parameters = cell.initialise(generator(0, "weights"), 0.5)
    parameters["b"][:6] += large
    spectrum = lyapunov_spectrum(Network(cell, parameters), INPUTS)
    assert spectrum.status == "ok"
