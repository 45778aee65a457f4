"""Systems whose steps and Jacobians can be differentiated with respect to weights, inputs and states."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from aelle_core.cells import Network, dense_jacobian, from_torch
from aelle_core.cells.base import Cell, State
from aelle_core.lyapunov.differentiable.linear import DenseLinear, Linear, MapLinear
from aelle_core.lyapunov.systems.stack import carried_names, input_jacobian_by_slopes, join_carried, split_carried

Advance = Callable[[Tensor | None, Tensor], tuple[Tensor, Linear]]
"""(inputs of a step (batch, features), carried state (batch, carried)) -> the next carried state and the Jacobian."""


class DifferentiableSystem(Protocol):
    """A system of `size` tangent dimensions whose trajectories carry `carried` numbers: the state and what keeps its
    digits. `tensors` are those that its steps depend on and that ask for gradients; `dead` directions have an exponent
    of -inf whatever the weights are."""

    size: int
    dead: int
    tensors: tuple[Tensor, ...]

    def start(self, initial_state: Tensor | None, batch: int, like: Tensor) -> Tensor:
        """Return the carried state before the first step, (batch, carried)."""
        ...

    def prepare(self) -> Advance:
        """Return the step, with everything computed that is constant along a sequence."""
        ...


class DifferentiableStack:
    """Layers of cells, each driven by the one below; mostly a single layer. The weights are used as they are, in
    float64, so that gradients reach them."""

    def __init__(self, networks: Sequence[Network], *, hidden: bool) -> None:
        self.networks = list(networks)
        self.hidden = hidden
        cells = [network.cell for network in networks]
        self.size = sum(cell.units if hidden else cell.state_size for cell in cells)
        self.dead = 0
        named = [(network, name) for network in networks for name in network.cell.parameter_shapes()]
        candidates = [network.parameters[name] for network, name in named]
        candidates += [
            value for network in networks for value in network.constants.values() if isinstance(value, Tensor)
        ]
        self.tensors = tuple(tensor for tensor in candidates if tensor.requires_grad)

    def start(self, initial_state: Tensor | None, batch: int, like: Tensor) -> Tensor:
        cells = [network.cell for network in self.networks]
        sizes = [cell.state_size for cell in cells]
        state = like.new_zeros(batch, sum(sizes)) if initial_state is None else initial_state.to(like)
        return torch.cat(
            [join_carried(cell, cell.accompany(cell.split(part))) for cell, part in _zip(cells, state, sizes)], -1
        )

    def prepare(self) -> Advance:
        weights = self.live_weights()

        def advance(inputs: Tensor | None, state: Tensor) -> tuple[Tensor, Linear]:
            assert inputs is not None
            new, rows, _ = self.stepped(weights, inputs, state)
            return new, DenseLinear(rows)

        return advance

    def live_weights(self) -> list[dict[str, Tensor]]:
        """Return what each layer's cell computes with, in float64, with gradients flowing back to the parameters."""
        return [_live_weights(network) for network in self.networks]

    def stepped(
        self, weights: Sequence[dict[str, Tensor]], inputs: Tensor, state: Tensor, *, by_input: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take one step on inputs (batch, features). Return the new carried state, the Jacobian (batch, size, size),
        with `by_input` after columns for the inputs, and the uppermost hidden state (batch, units)."""
        cells = [network.cell for network in self.networks]
        carried = [cell.units * len(carried_names(cell)) for cell in cells]
        below = inputs
        states: list[Tensor] = []
        rows: list[Tensor] = []
        for (cell, joined), of_layer in zip(_zip(cells, state, carried), weights, strict=True):
            drive = cell.drive(of_layer, below[None])
            old = split_carried(cell, joined[None])
            new = join_carried(cell, cell.step_accompanied(of_layer, drive, old))[0]
            kept = cell.parts[:1] if self.hidden else cell.parts
            row = dense_jacobian(cell.linearise(of_layer, drive, old)[1], kept)[0]
            if rows:  # through the new hidden state of the layer below, the first of its parts
                inner = _input_jacobian(cell, of_layer, drive, below[None], old, kept)[0]
                row = torch.cat([inner @ rows[-1][..., : cells[len(rows) - 1].units, :], row], dim=-1)
            elif by_input:
                row = torch.cat([_input_jacobian(cell, of_layer, drive, below[None], old, kept)[0], row], dim=-1)
            rows.append(row)
            states.append(new)
            below = new[..., : cell.units]
        width = self.size + (inputs.shape[-1] if by_input else 0)
        whole = [nn.functional.pad(row, (0, width - row.shape[-1])) for row in rows]
        return torch.cat(states, dim=-1), torch.cat(whole, dim=-2), below


class DifferentiableStep:
    """A function step(x, state) -> state, differentiated as torch does it: derivatives of saturated units lose digits
    that those of this project's cells keep. `module` lists weights where the function is a module; otherwise the
    leaves of the graph of a first step are found."""

    def __init__(self, step: Callable[[Tensor | None, Tensor], Tensor], initial_state: Tensor, inputs: Tensor | None):
        self.step = step
        self.size, self.dead = initial_state.shape[1], 0
        self.tensors: tuple[Tensor, ...]
        if isinstance(step, nn.Module):
            self.tensors = tuple(tensor for tensor in step.parameters() if tensor.requires_grad)
        else:
            with torch.enable_grad():
                first = None if inputs is None else inputs[:, 0].detach()
                self.tensors = _leaves(step(first, initial_state.detach()))

    def start(self, initial_state: Tensor | None, batch: int, like: Tensor) -> Tensor:
        assert initial_state is not None
        return initial_state.to(like)

    def prepare(self) -> Advance:
        def advance(inputs: Tensor | None, state: Tensor) -> tuple[Tensor, Linear]:
            def many(states: Tensor, copies: int) -> Tensor:
                return self.step(None if inputs is None else inputs.repeat_interleave(copies, dim=0), states)

            return self.step(inputs, state), MapLinear(many, state)

        return advance


def live_networks(module: nn.RNNBase | nn.RNNCellBase) -> list[Network]:
    """Return the layers of a torch layer as Networks over its own weights, not over copies of them.

    Raises UserError for what `from_torch` refuses.
    """
    single = isinstance(module, nn.RNNCellBase)
    networks = []
    for layer, network in enumerate(from_torch(module)):
        suffix = "" if single else f"_l{layer}"
        live = {
            name: copied if name.startswith("bias") and not module.bias else getattr(module, name + suffix)
            for name, copied in network.parameters.items()
        }
        networks.append(Network(network.cell, live, network.constants))
    return networks


def _live_weights(network: Network) -> dict[str, Tensor]:
    """Return the weights that the cell's `step` takes, in float64, with gradients flowing back to the parameters."""
    cell = network.cell
    tensors = {name: network.parameters[name].double()[None] for name in cell.parameter_shapes()}
    like = next(iter(tensors.values()))
    given = {**cell.defaults, **network.constants}
    constants = {
        name: torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(1, 1, 1)
        for name, value in given.items()
    }
    return cell.prepare(tensors, constants)


def _input_jacobian(
    cell: Cell, weights: dict[str, Tensor], drive: Tensor, x: Tensor, state: State, kept: Sequence[str]
) -> Tensor:
    """Return d new state / d input, (1, batch, units times parts, features), at inputs x (1, batch, features)."""
    if type(cell).drive_slopes is not Cell.drive_slopes:
        return input_jacobian_by_slopes(cell, weights, cell.drive_slopes(weights, drive, state), kept)

    def step(given: Tensor) -> Tensor:
        new = cell.step_accompanied(weights, cell.drive(weights, given), state)
        return torch.cat([new[part] for part in kept], dim=-1)

    directions = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    columns = [torch.func.jvp(step, (x,), (direction.expand_as(x),))[1] for direction in directions]
    return torch.stack(columns, dim=-1)


def _leaves(result: Tensor) -> tuple[Tensor, ...]:
    """Return the leaf tensors that the graph of `result` ends in, in the order in which they are met."""
    totals: dict[int, Tensor] = {}
    seen: set[object] = set()
    waiting = [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            totals[id(node.variable)] = node.variable
        waiting += [parent for parent, _ in node.next_functions]
    return tuple(totals.values())


def _zip(cells: Sequence[Cell], state: Tensor, sizes: Sequence[int]) -> list[tuple[Cell, Tensor]]:
    return list(zip(cells, state.split(list(sizes), dim=-1), strict=True))
