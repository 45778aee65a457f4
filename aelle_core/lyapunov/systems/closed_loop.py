"""Packs of networks that are fed their own output."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.cells import Blocks, Cell, Network, dense_jacobian
from aelle_core.cells.base import State
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic
from aelle_core.lyapunov.systems.base import Linearised, Rows
from aelle_core.lyapunov.systems.stack import (
    StackSystem,
    activations_along,
    along_stretch,
    carried_names,
    input_jacobian_by_slopes,
    join_carried,
    split_carried,
    switching_along,
)


class ClosedLoopSystem:
    """Layers of cells, a linear readout of the uppermost, and its output y as the next input:

        h_t = cell(y_{t-1}, h_{t-1}),    y_t = W h_t + b + residual y_{t-1}

    The state is all layers' states, the lowest first, and then y. With J the Jacobian of h_t by (h_{t-1}, y_{t-1}), the
    rows of y_t are W J, plus the residual at y_{t-1}.

    networks  layers, each a pack of the same number P
    weight    (P, features, units) and `bias` (P, features)
    residual  (P,), 0 or 1
    inputs    (sequences, time, features), shared by the pack: what the networks read before they run freely. Their
              output after the last is where the free run starts
    """

    def __init__(
        self,
        networks: Sequence[Network],
        weight: Tensor,
        bias: Tensor,
        residual: Tensor,
        inputs: Tensor,
        initial_state: Tensor | None = None,
    ) -> None:
        device = inputs.device
        self.cells = [network.cell for network in networks]
        self.like = torch.empty(0, dtype=torch.float64, device=device)
        self.weights = [network.prepare(torch.float64, device) for network in networks]
        self.weight, self.bias, self.residual = (part.detach().to(self.like) for part in (weight, bias, residual))
        every = [weight for weights in self.weights for weight in weights.values()] + [self.weight, self.bias]
        self.weights_finite = torch.stack([weight.isfinite().flatten(1).all(dim=1) for weight in every]).all(dim=0)
        self.networks, self.features = self.weight.shape[:2]
        self.sequences = inputs.shape[0]
        self.state_size = sum(cell.state_size for cell in self.cells)
        self.size = self.state_size + self.features
        self.exact_zeros = all(cell.exact_zeros for cell in self.cells)
        self.knows_kinks = all(cell.knows_kinks() for cell in self.cells)
        self.first_states, self.first_output = self._driven(inputs.to(self.like), initial_state)

    def _driven(self, inputs: Tensor, initial_state: Tensor | None) -> tuple[list[State], Tensor]:
        """States and output after the networks have read the inputs."""
        given = self.like.new_zeros(()) if initial_state is None else initial_state.to(self.like)
        whole = given.expand(self.networks, self.sequences, self.state_size)
        parts = whole.split([cell.state_size for cell in self.cells], dim=-1)
        states = [cell.split(part) for cell, part in zip(self.cells, parts, strict=True)]
        output = inputs[:, -1].expand(self.networks, -1, -1)
        for x in inputs.unbind(1):
            states, output = self._advance(states, x.expand(self.networks, -1, -1))
        return states, output

    def _advance(self, states: list[State], x: Tensor) -> tuple[list[State], Tensor]:
        """One step on the input x (networks, batch, features): new states, and the output."""
        below, new = x, []
        for cell, weights, state in zip(self.cells, self.weights, states, strict=True):
            new.append(cell.step(weights, cell.drive(weights, below), state))
            below = new[-1][cell.parts[0]]
        return new, self._read(below, x)

    def _read(self, hidden: Tensor, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), hidden, self.weight.mT) + self.residual[:, None, None] * x

    def outputs(self, steps: int) -> Tensor:
        """Return the forecast of the steps behind the inputs, (networks, sequences, steps, features) in float64: the
        output on the last input, and what follows it when the networks read their own outputs."""
        outputs = self.first_output.new_empty(self.networks, self.sequences, steps, self.features)
        states, outputs[:, :, 0] = self.first_states, self.first_output
        for time in range(1, steps):
            states, outputs[:, :, time] = self._advance(states, outputs[:, :, time - 1])
        return outputs

    @property
    def unchecked(self) -> tuple[str, ...]:
        return ()

    def in_double(self, networks: list[int]) -> "ClosedLoopSystem":
        chosen = copy.copy(self)
        chosen.weights = [{name: weight[networks] for name, weight in weights.items()} for weights in self.weights]
        chosen.first_states = [{name: part[networks] for name, part in state.items()} for state in self.first_states]
        for name in ("weight", "bias", "residual", "weights_finite", "first_output"):
            setattr(chosen, name, getattr(self, name)[networks])
        chosen.networks = len(networks)
        return chosen

    def of_sequences(self, rows: Rows) -> "ClosedLoopSystem":
        chosen = copy.copy(self)
        chosen.first_states = [{name: part[:, rows] for name, part in state.items()} for state in self.first_states]
        chosen.first_output = self.first_output[:, rows]
        chosen.sequences = chosen.first_output.shape[1]
        return chosen

    def in_factors(self) -> "ClosedLoopSystem":
        return self

    def start(self, copies: int) -> Tensor:
        pairs = zip(self.cells, self.first_states, strict=True)
        joined = [join_carried(cell, cell.accompany(state)) for cell, state in pairs]
        return torch.cat([*joined, self.first_output], dim=-1).repeat(1, copies, 1)

    def pushes(self, k: int) -> bool:
        return False

    def bytes_per_step(self, copies: int) -> int:
        trajectories = self.networks * self.sequences * copies
        dense = 3 * self.size**2 if len(self.cells) > 1 or self.cells[0].dense_blocks else 0
        return trajectories * self.like.itemsize * (dense + 12 * self.size)

    def linearise(self, first: int, steps: int, state: Tensor, k: int, rounding: Rounding | None) -> Linearised:
        rows = state.shape[1]
        widths = [cell.units * len(carried_names(cell)) for cell in self.cells]
        *layers, output = state.split([*widths, self.features], dim=-1)
        olds: list[list[Tensor]] = [[] for _ in self.cells]
        activations: list[list[dict[str, Tensor]]] = [[] for _ in self.cells]
        outputs = [output]
        for _ in range(steps):
            below = x = outputs[-1]
            for number, (cell, weights) in enumerate(zip(self.cells, self.weights, strict=True)):
                old = split_carried(cell, layers[number])
                of_step = cell.activations(weights, cell.drive(weights, below), old)
                olds[number].append(layers[number])
                activations[number].append(of_step)
                layers[number] = _disturbed(join_carried(cell, cell.step_activated(weights, of_step, old)), rounding)
                below = layers[number][..., : cell.units]
            outputs.append(_disturbed(self._read(below, x), rounding))
        joined = torch.cat([*layers, outputs[-1]], dim=-1)
        whole = [
            _Along(cell, weights, activations_along(activated), split_carried(cell, along_stretch(old_states)))
            for cell, weights, activated, old_states in zip(self.cells, self.weights, activations, olds, strict=True)
        ]
        jacobians = self._jacobians(whole, along_stretch(outputs[:-1]), rows, steps, rounding)
        finite = self.weights_finite.repeat_interleave(rows) & joined.isfinite().all(dim=-1).flatten()
        watched = whole if rounding is not None and rounding.of_few else []
        switching = switching_along([(each.cell, each.weights, each.activations, each.old) for each in watched], steps)
        return Linearised(joined, jacobians, finite & jacobians.finite(), switching)

    def _jacobians(
        self, layers: list["_Along"], x: Tensor, rows: int, steps: int, rounding: Rounding | None
    ) -> ReadoutJacobians:
        """Along layers and what the lowest reads, (networks, rows times steps, features)."""
        top = self.state_size - self.cells[-1].state_size
        if len(layers) == 1:
            blocks, by_input = layers[0].linearised(x, rows, steps, rounding)
            inner = BlockJacobians.of_blocks(blocks, self.cells[0].parts, self.cells[0].units, steps)
            by_output = by_input.mT
        else:
            whole = self._of_layers(layers, x, rows, steps, rounding)
            of_states, by_output = whole.split([self.state_size, self.features], dim=-2)
            inner = BlockJacobians.of_dense(of_states.reshape(-1, steps, self.state_size, self.state_size))
        given = by_output.reshape(-1, steps, self.features, self.state_size)
        jacobians = ReadoutJacobians(inner, given, self.weight, self.residual, top)
        if rounding is None:
            return jacobians
        return jacobians.disturbed(rounding, floor=not self.exact_zeros)

    def _of_layers(self, layers: list["_Along"], x: Tensor, rows: int, steps: int, rounding: Rounding | None) -> Tensor:
        """Return the TRANSPOSED Jacobians of the layers' new states by all old ones and the output, (networks, batch,
        size, state_size)."""
        whole = x.new_zeros(self.networks, rows * steps, self.size, self.state_size)
        column, before = 0, None
        for layer in layers:
            columns = slice(column, column + layer.cell.state_size)
            below = x if before is None else before.new_hidden()
            blocks, by_input = layer.linearised(below, rows, steps, rounding)
            whole[..., columns, columns] = dense_jacobian(blocks, layer.cell.parts).mT
            if before is None:
                whole[..., self.state_size :, columns] = by_input.mT
            else:
                hidden = columns.start - before.cell.state_size
                whole[..., columns] += whole[..., hidden : hidden + before.cell.units] @ by_input.mT
            column, before = columns.stop, layer
        return whole


@dataclass(frozen=True)
class _Along:
    """One layer along a stretch: its activations and old states (networks, rows times steps, ...), step by step within
    a row."""

    cell: Cell
    weights: dict[str, Tensor]
    activations: dict[str, Tensor]
    old: State

    def linearised(self, below: Tensor, rows: int, steps: int, rounding: Rounding | None) -> tuple[Blocks, Tensor]:
        """Return the cell's blocks, and d new state / d what it reads, (networks, batch, state_size, features)."""
        cell, weights = self.cell, self.weights
        exact = StackSystem.constants_disturbed(cell, weights, rows, steps, rounding)
        if type(cell).drive_slopes is not Cell.drive_slopes:
            blocks, slopes = cell.linearise_driven(exact, self.activations, self.old)
            return blocks, input_jacobian_by_slopes(cell, weights, slopes, cell.parts)
        blocks = cell.linearise_activated(exact, self.activations, self.old)
        return blocks, _input_jacobian(cell, weights, below, self.old)

    def new_hidden(self) -> Tensor:
        return self.cell.step_activated(self.weights, self.activations, self.old)[self.cell.parts[0]]


def _disturbed(values: Tensor, rounding: Rounding | None) -> Tensor:
    return values if rounding is None else rounding.in_rows(values)


def _input_jacobian(cell: Cell, weights: dict[str, Tensor], x: Tensor, state: State) -> Tensor:
    """Return d new state / d input, (networks, batch, state_size, features), at inputs x (networks, batch, features),
    of a cell that does not know its slopes by the drive: in forward mode, a feature at a time, with derivatives of
    tanh and sigmoid that keep their digits in saturation."""
    arithmetic = WatchedArithmetic(x)

    def step(given: Tensor) -> Tensor:
        with arithmetic:
            new = cell.step_accompanied(weights, cell.drive(weights, given), state)
            return cell.join({part: new[part] for part in cell.parts})

    def columns() -> Iterator[Tensor]:
        for feature in range(x.shape[-1]):
            direction = torch.zeros_like(x)
            direction[..., feature] = 1
            yield torch.func.jvp(step, (x,), (direction,))[1]

    return torch.stack(list(columns()), dim=-1)
