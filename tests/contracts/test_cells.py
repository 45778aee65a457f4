"""What every registered cell must do; a new cell is found and held to this by itself."""

import mpmath
import pytest
import torch
from torch import Tensor

from aelle_core.cells import Cell, Network, cells, dense_jacobian, from_torch, get_cell, to_torch
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator

NETWORKS, BATCH, UNITS, FEATURES = 3, 2, 5, 4
TORCH_CELLS = ("rnn", "rnn_relu", "gru", "lstm")


@pytest.fixture(params=list(cells))
def cell(request: pytest.FixtureRequest) -> Cell:
    return get_cell(request.param, FEATURES, UNITS)


def pack(cell: Cell, scale: float = 0.7) -> Network:
    drawn = [cell.initialise(generator(seed, "weights"), scale) for seed in range(NETWORKS)]
    stacked = {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}
    for value in stacked.values():  # what starts at zero would hide its share of the Jacobian
        if not value.any():
            value.uniform_(-scale, scale, generator=generator(0, "zeros"))
    # Constants that differ between networks: a cell that mixes its networks up is found out.
    constants = {
        name: torch.tensor([value * (1 + 0.1 * index) for index in range(NETWORKS)])
        for name, value in cell.defaults.items()
    }
    return Network(cell, stacked, constants)


def drawn_step(cell: Cell, scale: float = 0.7) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weights, drive and joined state of a random step in float64."""
    weights = pack(cell, scale).prepare(torch.float64)
    source = generator(1, "test")
    inputs = torch.randn(NETWORKS, BATCH, FEATURES, generator=source, dtype=torch.float64)
    state = torch.randn(NETWORKS, BATCH, cell.state_size, generator=source, dtype=torch.float64)
    return weights, cell.drive(weights, inputs), state


def advance(cell: Cell, weights: dict[str, Tensor], drive: Tensor, state: Tensor) -> Tensor:
    return cell.join(cell.step(weights, drive, cell.split(state)))


def test_shapes(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    new = cell.step(weights, drive, cell.split(state))
    assert tuple(new) == cell.parts
    assert all(part.shape == (NETWORKS, BATCH, UNITS) for part in new.values())
    assert drive.shape[:2] == (NETWORKS, BATCH)
    assert drive.shape[2] % UNITS == 0


def test_jacobian_equals_automatic_differentiation(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    new, blocks = cell.linearise(weights, drive, cell.split(state))
    torch.testing.assert_close(cell.join(new), advance(cell, weights, drive, state), rtol=1e-13, atol=1e-14)
    whole = torch.autograd.functional.jacobian(lambda old: advance(cell, weights, drive, old), state)
    jacobian = dense_jacobian(blocks, cell.parts)
    for network in range(NETWORKS):
        for row in range(BATCH):
            expected = whole[network, row, :, network, row, :]
            torch.testing.assert_close(jacobian[network, row], expected, rtol=1e-12, atol=1e-13)


def test_jacobian_times_vector_equals_finite_differences(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    direction = torch.randn(state.shape, generator=generator(2, "test"), dtype=torch.float64)
    step = 1e-6
    difference = advance(cell, weights, drive, state + step * direction) - advance(
        cell, weights, drive, state - step * direction
    )
    jacobian = dense_jacobian(cell.linearise(weights, drive, cell.split(state))[1], cell.parts)
    pushed = (jacobian @ direction.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(pushed, difference / (2 * step), rtol=1e-6, atol=1e-8)


def test_jacobian_of_the_read_out_part_is_its_block(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    blocks = cell.linearise(weights, drive, cell.split(state))[1]
    hidden = dense_jacobian(blocks, cell.parts[:1])
    torch.testing.assert_close(hidden, dense_jacobian(blocks, cell.parts)[..., :UNITS, :UNITS], rtol=0, atol=0)


def test_networks_of_a_pack_do_not_touch_each_other(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    together = advance(cell, weights, drive, state)
    for network in range(NETWORKS):
        own = {name: value[network : network + 1] for name, value in weights.items()}
        alone = advance(cell, own, drive[network : network + 1], state[network : network + 1])
        torch.testing.assert_close(together[network], alone[0], rtol=1e-12, atol=1e-13)


def test_initial_weights_follow_seed_and_scale(cell: Cell) -> None:
    first = cell.initialise(generator(5, "weights"), 0.3)
    again = cell.initialise(generator(5, "weights"), 0.3)
    other = cell.initialise(generator(6, "weights"), 0.3)
    assert {name: tuple(value.shape) for name, value in first.items()} == cell.parameter_shapes()
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name]) or not (value.any() or other[name].any())
        if type(cell).initialise is Cell.initialise:
            assert value.abs().max() <= 0.3
    double = cell.initialise(generator(5, "weights"), 0.6)
    assert any(torch.equal(2 * value, double[name]) and value.any() for name, value in first.items())


def test_log_determinant_survives_saturation(cell: Cell) -> None:
    """Rows that saturation has made tiny still count: log |det J| of the float64 Jacobian against 50 digits.

    The reference takes the cell's own step in mpmath's place: automatic differentiation in float64 would lose them.
    """
    if cell.name not in ("rnn", "ornn"):
        return  # the gated and residual cells are never this graded: their diagonals stay of order one
    weights, drive, state = drawn_step(cell)
    drive = drive.sign() * 40.0
    matrix = weights["U" if cell.name == "rnn" else "O"]
    jacobian = dense_jacobian(cell.linearise(weights, drive, cell.split(state))[1], cell.parts)
    with mpmath.workdps(50):
        for network in range(NETWORKS):
            recurrent = mpmath.matrix(matrix[network].tolist())
            a = mpmath.matrix(drive[network, 0].tolist()) + recurrent * mpmath.matrix(state[network, 0].tolist())
            slopes = mpmath.fsum(-2 * mpmath.log(mpmath.cosh(value)) for value in a)
            expected = mpmath.log(abs(mpmath.det(recurrent))) + slopes
            found = torch.linalg.slogdet(jacobian[network, 0]).logabsdet.item()
            assert abs(found - expected) < 1e-10 * abs(expected)


def test_noise_is_used_in_training_only_where_declared(cell: Cell) -> None:
    weights, drive, state = drawn_step(cell)
    if not cell.noise_channels:
        return
    noise = torch.ones(NETWORKS, BATCH, UNITS * cell.noise_channels, dtype=torch.float64)
    with_noise = cell.join(cell.step(weights, drive, cell.split(state), noise))
    assert not torch.equal(with_noise, advance(cell, weights, drive, state))
    none = cell.join(cell.step(weights, drive, cell.split(state), 0 * noise))
    assert torch.equal(none, advance(cell, weights, drive, state))


def test_unknown_constant_and_bad_sizes_are_refused(cell: Cell) -> None:
    with pytest.raises(UserError, match="no constant nonsense"):
        cell.constants({"nonsense": 1.0})
    with pytest.raises(UserError, match="units=0: expected a whole number of at least 1"):
        get_cell(cell.name, FEATURES, 0)


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


@pytest.mark.parametrize("name", TORCH_CELLS)
def test_drive_slopes_equal_automatic_differentiation(name: str) -> None:
    cell = get_cell(name, FEATURES, UNITS)
    weights, drive, state = drawn_step(cell)
    slopes = cell.drive_slopes(weights, drive, cell.split(state))
    whole = torch.autograd.functional.jacobian(
        lambda given: cell.join(cell.step(weights, given, cell.split(state))), drive
    )
    by_part = torch.cat([torch.diag_embed(slopes[part]).flatten(-3, -2).mT for part in cell.parts], dim=-2)
    for network in range(NETWORKS):
        for row in range(BATCH):
            expected = whole[network, row, :, network, row, :]
            torch.testing.assert_close(by_part[network, row], expected, rtol=1e-11, atol=1e-13)
