"""Layers of this project's cells."""

import copy
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network, dense_jacobian
from aelle_core.cells.base import State
from aelle_core.cells.blocks import gates_scaled_transposed
from aelle_core.lyapunov.kernels.factored import FactoredJacobians
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems.base import Linearised, Rows


class StackSystem:
    """Layers of cells, each driven by the hidden state of the one below; mostly a single layer.

    `networks` are packs of the same number P of networks; inputs are (sequences, time, features), shared by the pack,
    and decide the device. States are float64; inputs become so a stretch of time at once. With `hidden` the tangent
    space is that of the read-out parts alone, d h_t / d h_{t-1}. The initial state, (sequences, state_size) or
    (networks, sequences, state_size), is zeros by default.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        inputs: Tensor,
        *,
        hidden: bool,
        initial_state: Tensor | None = None,
    ) -> None:
        self.cells = [network.cell for network in networks]
        self.inputs = inputs
        self.like = torch.empty(0, dtype=torch.float64, device=inputs.device)
        self.weights = [network.prepare(torch.float64, inputs.device) for network in networks]
        every = [weight for weights in self.weights for weight in weights.values()]
        self.weights_finite = torch.stack([weight.isfinite().flatten(1).all(dim=1) for weight in every]).all(dim=0)
        self.hidden = hidden
        self.factored = False
        self.networks = next(iter(self.weights[0].values())).shape[0]
        self.sequences = inputs.shape[0]
        self.exact_zeros = all(cell.exact_zeros for cell in self.cells)
        self.knows_kinks = all(cell.knows_kinks() for cell in self.cells)
        self.state_size = sum(cell.state_size for cell in self.cells)
        self.size = sum(cell.units for cell in self.cells) if hidden else self.state_size
        shape = (self.networks, self.sequences, self.state_size)
        given = self.like.new_zeros(()) if initial_state is None else initial_state.to(self.like)
        self.initial_state = given.expand(shape)

    @property
    def unchecked(self) -> tuple[str, ...]:
        return ()

    def in_double(self, networks: list[int]) -> "StackSystem":
        chosen = copy.copy(self)
        chosen.weights = [{name: weight[networks] for name, weight in layer.items()} for layer in self.weights]
        chosen.weights_finite = self.weights_finite[networks]
        chosen.initial_state = self.initial_state[networks]
        chosen.networks = len(networks)
        return chosen

    def of_sequences(self, rows: Rows) -> "StackSystem":
        chosen = copy.copy(self)
        chosen.inputs, chosen.initial_state = self.inputs[rows], self.initial_state[:, rows]
        chosen.sequences = len(chosen.inputs)
        return chosen

    def in_factors(self) -> "StackSystem":
        factored = copy.copy(self)
        factored.factored = True
        return factored

    def start(self, copies: int) -> Tensor:
        state = self.initial_state.repeat(1, copies, 1)
        layers = zip(self.cells, state.split([cell.state_size for cell in self.cells], dim=-1), strict=True)
        return torch.cat([join_carried(cell, cell.accompany(cell.split(part))) for cell, part in layers], dim=-1)

    def pushes(self, k: int) -> bool:
        return False

    def bytes_per_step(self, copies: int) -> int:
        trajectories = self.networks * self.sequences * copies
        dense = self.size**2 * (3 if len(self.cells) > 1 or self.cells[0].dense_blocks else 0)
        return trajectories * self.like.itemsize * (dense + 24 * self.state_size)

    def linearise(self, first: int, steps: int, state: Tensor, k: int, rounding: Rounding | None) -> Linearised:
        rows = state.shape[1]  # sequences, and their copies
        copies = rows // self.sequences
        inputs = self.inputs[:, first : first + steps].to(self.like).repeat(copies, 1, 1)
        below = inputs.expand(self.networks, *inputs.shape)
        states: list[Tensor] = []
        layers: list[Tensor] = []
        watched: list[Along] = []  # for kinks
        old_states = state.split([cell.units * len(carried_names(cell)) for cell in self.cells], dim=-1)
        for cell, weights, joined in zip(self.cells, self.weights, old_states, strict=True):
            drive = cell.drive(weights, below.flatten(1, 2)).unflatten(1, (rows, steps))
            disturb: Sequence[Tensor | None] = [None] * steps
            if rounding is not None:
                drive = rounding.in_rows(drive)
                disturb = rounding.factors(rows, steps, joined.shape[-1]).unbind(1)
            trajectory, activations = [joined], []
            for driven, factors in zip(drive.unbind(2), disturb, strict=True):
                before = split_carried(cell, trajectory[-1])
                activations.append(cell.activations(weights, driven, before))
                new = join_carried(cell, cell.step_activated(weights, activations[-1], before))
                trajectory.append(new if factors is None else new * factors)
            states.append(trajectory[-1])
            along = torch.stack(trajectory, dim=2)
            old = split_carried(cell, along[:, :, :-1].flatten(1, 2))
            exact = self.constants_disturbed(cell, weights, rows, steps, rounding)
            along_steps = activations_along(activations)
            if rounding is not None and rounding.of_few:
                watched.append((cell, weights, along_steps, old))
            slopes: dict[str, Tensor] = {}
            if layers:  # the layer below is read: how the new state hangs on it is wanted too
                blocks, slopes = cell.linearise_driven(exact, along_steps, old)
            else:
                blocks = cell.linearise_activated(exact, along_steps, old)
            kept = cell.parts[:1] if self.hidden else cell.parts
            if len(self.cells) == 1:
                jacobians: BlockJacobians | FactoredJacobians
                if self.factored:
                    jacobians = FactoredJacobians.of_blocks(blocks, cell.parts, len(kept), cell.units, steps)
                else:
                    jacobians = BlockJacobians.of_blocks(blocks, kept, cell.units, steps)
                if rounding is not None:
                    jacobians = jacobians.disturbed(rounding, floor=not self.exact_zeros)
                return Linearised(
                    states[0], jacobians, self._finite(states[0], jacobians), switching_along(watched, steps)
                )
            row = dense_jacobian(blocks, kept)
            if layers:  # through the layer below's new hidden state, the first of its parts
                by_input = input_jacobian_by_slopes(cell, weights, slopes, kept)
                row = torch.cat([by_input @ layers[-1][..., : cell.units, :], row], dim=-1)
            layers.append(row)
            below = along[:, :, 1:, : cell.units]  # the read-out part comes first
        whole = torch.cat([torch.nn.functional.pad(row, (0, self.size - row.shape[-1])) for row in layers], dim=-2)
        transposed = whole.mT.reshape(self.networks * rows, steps, self.size, self.size)
        new_state = torch.cat(states, dim=-1)
        jacobians = BlockJacobians.of_dense(transposed)
        return Linearised(new_state, jacobians, self._finite(new_state, jacobians), switching_along(watched, steps))

    def _finite(self, state: Tensor, jacobians: BlockJacobians | FactoredJacobians) -> Tensor:
        """(trajectories,) whether weights, states and Jacobians are."""
        weights = self.weights_finite.repeat_interleave(state.shape[1])
        return weights & state.isfinite().all(dim=-1).flatten() & jacobians.finite()

    @staticmethod
    def constants_disturbed(
        cell: Cell, weights: dict[str, Tensor], rows: int, steps: int, rounding: Rounding | None
    ) -> dict[str, Tensor]:
        """Return the weights, with the equation's constants disturbed in second copies: 1 - dt gamma may cancel."""
        names = [
            name
            for name in cell.defaults
            if name not in cell.exact_constants and name in weights and weights[name].shape[1:] == (1, 1)
        ]
        if rounding is None or not names:
            return weights
        disturbed = {name: rounding.in_rows(weights[name].expand(-1, rows, 1)) for name in names}
        return {**weights, **{name: weight.repeat_interleave(steps, dim=1) for name, weight in disturbed.items()}}


def input_jacobian_by_slopes(
    cell: Cell, weights: dict[str, Tensor], slopes: dict[str, Tensor], parts: Sequence[str]
) -> Tensor:
    """Return d new parts / d input, (networks, batch, parts times units, features), from a cell's `drive_slopes`, as
    the transposed of a contiguous tensor."""
    by_drive = weights[cell.drive_weights].unflatten(1, (-1, cell.units))
    return torch.cat([gates_scaled_transposed(slopes[part], by_drive) for part in parts], dim=-1).mT


Along: TypeAlias = tuple[Cell, dict[str, Tensor], Mapping[str, Tensor], State]
"""A cell, its weights, and its activations and old states (networks, rows times steps, ...) along a stretch."""


def switching_along(layers: Sequence[Along], steps: int) -> Tensor | None:
    """Return the switching functions of all layers side by side, (networks, rows, steps, functions); None where no
    layer has any."""
    of_layers = [cell.switching_functions(weights, activations, old) for cell, weights, activations, old in layers]
    given = [functions.unflatten(1, (-1, steps)) for functions in of_layers if functions is not None]
    return torch.cat(given, dim=-1) if given else None


def along_stretch(steps: Sequence[Tensor]) -> Tensor:
    """(networks, rows, ...) of each step -> (networks, rows times steps, ...), step by step within a row."""
    return torch.stack(list(steps), dim=2).flatten(1, 2)


def activations_along(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the activations of each step as those of a stretch, see `along_stretch`."""
    return {name: along_stretch([activations[name] for activations in steps]) for name in steps[0]}


def carried_names(cell: Cell) -> tuple[str, ...]:
    """Return the names of what a trajectory carries: the parts of the state and their companions."""
    return (*cell.parts, *cell.companions)


def split_carried(cell: Cell, joined: Tensor) -> State:
    """(networks, batch, units times names) -> the state and its companions."""
    names = carried_names(cell)
    if len(names) == 1:
        return {names[0]: joined}
    return dict(zip(names, joined.split(cell.units, dim=-1), strict=True))


def join_carried(cell: Cell, state: State) -> Tensor:
    """Return the state and its companions as (networks, batch, units times names)."""
    names = carried_names(cell)
    return state[names[0]] if len(names) == 1 else torch.cat([state[name] for name in names], dim=-1)
