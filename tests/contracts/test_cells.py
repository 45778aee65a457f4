"""What every registered cell must do; a new cell is found and held to this by itself."""

from collections.abc import Callable

import mpmath
import pytest
import torch

from aelle_core.cells import Cell, Network, cells, dense_jacobian, from_torch, get_cell, to_torch
from aelle_core.foundation.random_streams import generator
from aelle_core.testing import CELL_CHECKS, random_step
from aelle_core.testing.cell_contract import BATCH, FEATURES, NETWORKS, UNITS

TORCH_CELLS = ("rnn", "rnn_relu", "gru", "lstm")


@pytest.fixture(params=list(cells))
def cell(request: pytest.FixtureRequest) -> Cell:
    return get_cell(request.param, FEATURES, UNITS)


@pytest.mark.parametrize("check", CELL_CHECKS.values(), ids=list(CELL_CHECKS))
def test_contract(cell: Cell, check: Callable[[Cell], None]) -> None:
    check(cell)


def test_log_determinant_survives_saturation(cell: Cell) -> None:
    """Rows that saturation has made tiny still count: log |det J| of the float64 Jacobian against 50 digits.

    The reference takes the cell's own step in mpmath's place: automatic differentiation in float64 would lose them.
    """
    if cell.name not in ("rnn", "ornn"):
        return  # the gated and residual cells are never this graded: their diagonals stay of order one
    weights, drive, state = random_step(cell)
    drive = drive.sign() * 40.0
    matrix = weights["U" if cell.name == "rnn" else "O"]
    jacobian = dense_jacobian(cell.linearise(weights, drive, cell.split(state))[1], cell.parts)
    with mpmath.workdps(50):
        for network in range(NETWORKS):
            recurrent = mpmath.matrix(matrix[network].tolist())
            a = mpmath.matrix(drive[network, 0].tolist()) + recurrent * mpmath.matrix(state[network, 0].tolist())
            slopes = mpmath.fsum(-2 * mpmath.log(mpmath.cosh(value)) for value in a)
            expected = mpmath.log(abs(mpmath.det(recurrent))) + slopes
            determinant = torch.linalg.slogdet(jacobian[network, 0]).logabsdet.item()
            assert abs(determinant - expected) < 1e-10 * abs(expected)


@pytest.mark.parametrize("name", TORCH_CELLS)
def test_weights_go_to_torch_and_back_with_equal_outputs(name: str) -> None:
    cell = get_cell(name, FEATURES, UNITS)
    network = Network(cell, cell.initialise(generator(3, "weights"), 0.5))
    layer = to_torch(network)
    inputs = torch.randn(2, 7, FEATURES, generator=generator(4, "test"))
    outputs, _ = layer(inputs)
    weights = network.prepare(torch.float32)
    state = cell.initial_state(1, 2, like=inputs)
    for time in range(7):
        state = cell.step(weights, cell.drive(weights, inputs[None, :, time]), state)
        torch.testing.assert_close(state[cell.parts[0]][0], outputs[:, time], rtol=1e-5, atol=1e-6)
    back = from_torch(layer)[0]
    assert back.cell.name == name
    assert all(torch.equal(back.parameters[key], value) for key, value in network.parameters.items())


@pytest.mark.parametrize("name", [name for name, cell in cells.items() if cell.drive_slopes is not Cell.drive_slopes])
def test_drive_slopes_equal_automatic_differentiation(name: str) -> None:
    cell = get_cell(name, FEATURES, UNITS)
    weights, drive, state = random_step(cell)
    slopes = cell.drive_slopes(weights, drive, cell.split(state))
    whole = torch.autograd.functional.jacobian(
        lambda given: cell.join(cell.step(weights, given, cell.split(state))), drive
    )
    by_part = torch.cat([torch.diag_embed(slopes[part]).flatten(-3, -2).mT for part in cell.parts], dim=-2)
    for network in range(NETWORKS):
        for row in range(BATCH):
            expected = whole[network, row, :, network, row, :]
            torch.testing.assert_close(by_part[network, row], expected, rtol=1e-11, atol=1e-13)
    # what a drive does to an input is one matrix
    torch.testing.assert_close(
        cell.drive(weights, torch.eye(FEATURES, dtype=drive.dtype).expand(NETWORKS, -1, -1))
        - cell.drive(weights, drive.new_zeros(NETWORKS, FEATURES, FEATURES)),
        weights[cell.drive_weights].mT,
    )
