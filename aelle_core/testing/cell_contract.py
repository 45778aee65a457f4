"""The contract of cells: shapes, an exact Jacobian, networks that do not touch each other, seeded weights."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network, cells, dense_jacobian
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.testing.contract import require, require_close
from aelle_core.testing.way_contract import check_way
from aelle_core.training import available_ways

NETWORKS, BATCH, UNITS, FEATURES = 3, 2, 5, 4
LINE = 400  # intervals of a line of states, of which both halves are looked at


def check_cell(cell: type[Cell] | str) -> None:
    """Check everything that this project relies on in a cell, given by its class or registered name.

    Derivatives are compared with automatic differentiation and with finite differences in float64, every way of
    training that can train the cell with autograd in float64. A cell that the compiler cannot compile keeps the
    contract: it is trained in another way. Raises ContractError, naming what is broken.
    """
    kind = cells[cell] if isinstance(cell, str) else cell
    require(isinstance(kind, type) and issubclass(kind, Cell), f"{kind!r}: expected a subclass of Cell")
    made = kind(FEATURES, UNITS)
    for check in CELL_CHECKS.values():
        check(made)
    for way in available_ways(made, torch.device("cpu")):
        check_way(way, kind)


def pack_of(cell: Cell, scale: float = 0.7) -> Network:
    """Return three networks of a cell whose weights, and whose constants, differ."""
    drawn = [cell.initialise(generator(seed, "weights"), scale) for seed in range(NETWORKS)]
    stacked = {name: torch.stack([weights[name] for weights in drawn]) for name in drawn[0]}
    for value in stacked.values():  # what starts at zero would hide its share of the Jacobian
        if not value.any():
            value.uniform_(-scale, scale, generator=generator(0, "zeros"))
    # Constants that differ between networks: a cell that mixes its networks up is found out.
    constants = {
        name: torch.tensor([value * (1 + 0.1 * index) for index in range(NETWORKS)])
        for name, value in cell.defaults.items()
    }
    return Network(cell, stacked, constants)


def random_step(cell: Cell, scale: float = 0.7) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return prepared weights, drive (networks, batch, gates * units) and state (networks, batch, state_size) of a
    random step, in float64."""
    weights = pack_of(cell, scale).prepare(torch.float64)
    source = generator(1, "test")
    inputs = torch.randn(NETWORKS, BATCH, cell.input_size, generator=source, dtype=torch.float64)
    state = torch.randn(NETWORKS, BATCH, cell.state_size, generator=source, dtype=torch.float64)
    return weights, cell.drive(weights, inputs), state


def _advance(cell: Cell, weights: Mapping[str, Tensor], drive: Tensor, state: Tensor) -> Tensor:
    return cell.join(cell.step(weights, drive, cell.split(state)))


def _shapes(cell: Cell) -> None:
    weights, drive, state = random_step(cell)
    new = cell.step(weights, drive, cell.split(state))
    require(tuple(new) == cell.parts, f"step returns the parts {tuple(new)}: expected {cell.parts}, in this order")
    for part, value in new.items():
        wanted = (NETWORKS, BATCH, cell.units)
        require(value.shape == wanted, f"step returns {part} of shape {tuple(value.shape)}: expected {wanted}")
    require(
        drive.shape[:2] == (NETWORKS, BATCH) and drive.shape[2] % cell.units == 0,
        f"drive returns shape {tuple(drive.shape)}: expected (networks, rows, gates * units)",
    )


def _exact_jacobian(cell: Cell) -> None:
    weights, drive, state = random_step(cell)
    new, blocks = cell.linearise(weights, drive, cell.split(state))
    stepped = _advance(cell, weights, drive, state)
    require_close(cell.join(new), stepped, "linearise gives another state than step", rtol=1e-13, atol=1e-14)
    whole = torch.autograd.functional.jacobian(lambda old: _advance(cell, weights, drive, old), state)
    jacobian = dense_jacobian(blocks, cell.parts)
    for network in range(NETWORKS):
        for row in range(BATCH):
            require_close(
                jacobian[network, row],
                whole[network, row, :, network, row, :],
                f"the Jacobian of network {network} is not step's",
                rtol=1e-12,
                atol=1e-13,
            )


def _activations(cell: Cell) -> None:
    weights, drive, joined = random_step(cell)
    state = cell.accompany(cell.split(joined))
    activations = cell.activations(weights, drive, state)
    stepped = cell.step_activated(weights, activations, state)
    new = cell.join({part: stepped[part] for part in cell.parts})
    sentence = "step_activated gives another state than step"
    require_close(new, _advance(cell, weights, drive, joined), sentence, rtol=1e-12, atol=1e-13)
    jacobian = dense_jacobian(cell.linearise_activated(weights, activations, state), cell.parts)
    whole = dense_jacobian(cell.linearise(weights, drive, state)[1], cell.parts)
    require_close(jacobian, whole, "linearise_activated gives another Jacobian than linearise", rtol=0, atol=0)


def _finite_differences(cell: Cell) -> None:
    weights, drive, state = random_step(cell)
    direction = torch.randn(state.shape, generator=generator(2, "test"), dtype=torch.float64)
    step = 1e-6
    ahead, behind = (_advance(cell, weights, drive, state + sign * step * direction) for sign in (1, -1))
    jacobian = dense_jacobian(cell.linearise(weights, drive, cell.split(state))[1], cell.parts)
    pushed = (jacobian @ direction.unsqueeze(-1)).squeeze(-1)
    difference = (ahead - behind) / (2 * step)
    require_close(pushed, difference, "the Jacobian differs from finite differences", rtol=1e-6, atol=1e-8)


def _hidden_jacobian(cell: Cell) -> None:
    weights, drive, state = random_step(cell)
    blocks = cell.linearise(weights, drive, cell.split(state))[1]
    hidden, whole = dense_jacobian(blocks, cell.parts[:1]), dense_jacobian(blocks, cell.parts)
    own = whole[..., : cell.units, : cell.units]
    require_close(hidden, own, "the read-out part's Jacobian is not its block of the whole", rtol=0, atol=0)


def _kinks(cell: Cell) -> None:
    """Along a line of states, the Jacobian jumps only where a switching function changes its sign. What no state of the
    line comes to is not found, nor a jump of the state itself."""
    weights, drive, state = random_step(cell, scale=0.3)
    line = torch.linspace(-1, 1, 2 * LINE + 1, dtype=torch.float64)[:, None] * state[:, :1]
    along = cell.split(line)
    activations = cell.activations(weights, drive[:, :1].expand(-1, len(line[0]), -1), along)
    jacobians = dense_jacobian(cell.linearise_activated(weights, activations, along), cell.parts).flatten(2)
    whole = (jacobians[:, 2::2] - jacobians[:, :-2:2]).abs()
    halves = (jacobians[:, 1:] - jacobians[:, :-1]).abs().unflatten(1, (-1, 2)).amax(dim=2)
    # Where it is smooth, it changes half as much over half the way.
    jumps = ((whole > 1e-3 * jacobians.abs().amax()) & (halves > 0.9 * whole)).any(dim=-1)
    switching = cell.switching_functions(weights, activations, along)
    if switching is None:
        known = "expected kinked = True, and switching_functions, or every sequence of a spectrum is checked"
        require(not cell.knows_kinks() or not jumps.any(), f"a derivative jumps: {known}")
        return
    wanted = "expected (networks, batch, functions)"
    fits = switching.dim() == 3 and switching.shape[:2] == line.shape[:2]
    require(fits, f"switching_functions returns {tuple(switching.shape)}: {wanted}")
    switches = ((switching[:, 2::2] > 0) != (switching[:, :-2:2] > 0)).any(dim=-1)
    require(not (jumps & ~switches).any(), "a derivative jumps where no switching function changes its sign")


def _networks_apart(cell: Cell) -> None:
    weights, drive, state = random_step(cell)
    together = _advance(cell, weights, drive, state)
    for network in range(NETWORKS):
        own = {name: value[network : network + 1] for name, value in weights.items()}
        alone = _advance(cell, own, drive[network : network + 1], state[network : network + 1])
        sentence = f"network {network} steps otherwise in a pack than alone"
        require_close(together[network], alone[0], sentence, rtol=1e-12, atol=1e-13)


def _seeded_weights(cell: Cell) -> None:
    first, again = (cell.initialise(generator(5, "weights"), 0.3) for _ in range(2))
    other = cell.initialise(generator(6, "weights"), 0.3)
    double = cell.initialise(generator(5, "weights"), 0.6)
    shapes = {name: tuple(value.shape) for name, value in first.items()}
    require(shapes == cell.parameter_shapes(), f"initialise returns {shapes}: expected {cell.parameter_shapes()}")
    for name, value in first.items():
        require(torch.equal(value, again[name]), f"{name}: expected the same draw from the same seed")
        drawn = value.any() or other[name].any()
        require(not drawn or not torch.equal(value, other[name]), f"{name}: expected another draw from another seed")
        if type(cell).initialise is Cell.initialise:
            require(value.abs().max() <= 0.3, f"{name}: expected no weight beyond the scale")
    scaled = any(torch.equal(2 * value, double[name]) and value.any() for name, value in first.items())
    require(scaled, "expected `scale` to scale some of the weights")


def _noise(cell: Cell) -> None:
    if not cell.noise_channels:
        return
    weights, drive, state = random_step(cell)
    noise = torch.ones(NETWORKS, BATCH, cell.units * cell.noise_channels, dtype=torch.float64)
    quiet = _advance(cell, weights, drive, state)
    heard = [cell.join(cell.step(weights, drive, cell.split(state), level * noise)) for level in (0, 1)]
    require(torch.equal(heard[0], quiet), "expected noise of zero to change nothing")
    require(not torch.equal(heard[1], quiet), f"noise_channels={cell.noise_channels}: expected step to use its noise")


def _refusals(cell: Cell) -> None:
    for sentence, call in (
        ("an unknown constant", lambda: cell.constants({"nonsense": 1.0})),
        ("units=0", lambda: type(cell)(cell.input_size, 0)),
    ):
        try:
            call()
        except UserError:
            continue
        require(False, f"expected {sentence} to be refused with UserError")


CELL_CHECKS: Mapping[str, Callable[[Cell], None]] = {
    "shapes": _shapes,
    "jacobian equals automatic differentiation": _exact_jacobian,
    "what step and jacobian share gives the same of both": _activations,
    "jacobian times vector equals finite differences": _finite_differences,
    "jacobian of the read out part is its block": _hidden_jacobian,
    "switching functions tell where derivatives jump": _kinks,
    "networks of a pack do not touch each other": _networks_apart,
    "initial weights follow seed and scale": _seeded_weights,
    "noise is used in training only where declared": _noise,
    "unknown constants and bad sizes are refused": _refusals,
}
"""What `check_cell` checks before training: a sentence -> the check."""
