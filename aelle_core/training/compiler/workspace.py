"""The arrays of one shape that compiled sequences run on, kept from mini-batch to mini-batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core.training.compiler.emit.loops import CompiledLoop
from aelle_core.training.compiler.passes import Sequences

_TILE_ROWS = (32, 16)  # fewer make gradients' sums too dear
_TILE_BYTES = 800_000  # of a tile's own arrays, so that they and the weights stay near the second cache
_WHOLE_NUMBERS = ("codes", "classes")
_MATRICES = ("matrix ", "gradient ", "total ")  # arrays that all rows share


@dataclass(frozen=True)
class _Array:
    """A tensor (networks, slots, rows, width), where networks and rows are 1 and a tile's rows if it is the tile's own;
    step t lies in slot t + shift, modulo `slots` where they are reused."""

    tensor: Tensor
    shift: int = 0


class Workspace:
    """The arrays of mini-batches of one shape: those that hold all tiles, and those of one tile after another.

    In `training` a tile keeps all its steps to itself; of a forward pass the read-out states of all tiles are kept.
    """

    def __init__(self, sequences: Sequences, shape: tuple[int, int, int], training: bool) -> None:
        self.networks, self.steps, self.rows = shape
        self.sequences = sequences
        self._shared: dict[str, _Array] = {}
        self._own: dict[str, _Array] = {}  # of one tile after another
        self._tables: dict[CompiledLoop, tuple[np.ndarray, np.ndarray]] = {}
        for tile in _TILE_ROWS:
            self.tile = min(self.rows, tile)
            self._own.clear()
            self._add_forward(training)
            if training:
                self._add_backward()
            if sum({id(array.tensor): array.tensor.nbytes for array in self._own.values()}.values()) <= _TILE_BYTES:
                break

    def _add_forward(self, training: bool) -> None:
        sequences, recurrence = self.sequences, self.sequences.recurrence
        program = recurrence.training if training else recurrence.forward
        for part in recurrence.step.outputs:
            if training:
                self._add(f"state {part}", 1, self.steps + 1, shifted=f"new {part}")
            else:
                slots = self.steps + 1 if recurrence.every else 2
                states = torch.zeros(self.networks, slots, self.rows, sequences.units)
                self._shared[f"state {part}"], self._shared[f"new {part}"] = _Array(states), _Array(states, 1)
        if not sequences.coded:
            self._own["inputs"] = _Array(torch.zeros(1, self.steps, self.tile, sequences.features))
        written = {product.result: product.result_columns for product in program.multiplications} | dict(
            program.written
        )
        kept = sequences.kept if training else frozenset()
        for name, columns in ({"drive": recurrence.step.drive_columns} | written).items():
            if name not in self._shared and name not in self._own:
                self._add(name, columns, self.steps if name in kept else 1)

    def _add_backward(self) -> None:
        sequences, recurrence = self.sequences, self.sequences.recurrence
        self._own["ones"] = _Array(torch.ones(1, 1, self.tile, 1))
        self._own["scores"] = _Array(torch.zeros(1, 1, self.tile, sequences.outputs))
        if recurrence.every:
            self._add("d output", 1, self.steps)
        for product in recurrence.backward.multiplications:
            self._add(product.result, product.result_columns, 2, shifted="later " + product.result.removeprefix("d "))
        for name, columns in recurrence.backward.written.items():
            if name.startswith("d rest "):
                self._add(name, columns, 2, shifted="later " + name.removeprefix("d "))
            else:
                self._add(name, columns)

    def _add(self, name: str, columns: int, slots: int = 1, shifted: str | None = None) -> None:
        """Return a scratch array (steps, tile rows, columns), also registered under the name it has one step later."""
        tensor = torch.zeros(1, slots, self.tile, columns * self.sequences.units)
        self._own[name] = _Array(tensor)
        if shifted:
            self._own[shifted] = _Array(tensor, 1)

    def slot(self, name: str, step: int) -> Tensor:
        """Return a shared array at a step, (networks, rows, width)."""
        array = self._shared[name]
        return array.tensor[:, (step + array.shift) % array.tensor.shape[1]]

    def whole(self, name: str) -> Tensor:
        """Return a shared array at all steps, (networks, steps, rows, width), a view."""
        array = self._shared[name]
        return array.tensor[:, array.shift : self.steps + array.shift]

    def give(self, arrays: Mapping[str, Tensor]) -> None:
        """Arrays from outside, (networks, steps or 1, rows or 1, width), with what is in a row side by side. Raises
        TypeError where their numbers are not those that compiled code reads."""
        for name, tensor in arrays.items():
            expected = torch.int32 if name in _WHOLE_NUMBERS else torch.float32
            if tensor.dtype != expected:
                raise TypeError(f"{name} of {tensor.dtype}: expected {expected}")
            self._shared[name] = _Array(tensor if tensor.stride(-1) == 1 else tensor.contiguous())
            for sequence, (addresses, strides) in self._tables.items():
                if name in sequence.arrays:
                    self._fill(name, self._shared[name], sequence.arrays.index(name), addresses, strides)

    def run(self, sequence: CompiledLoop) -> None:
        """Run it on all networks."""
        addresses, strides = self._tables.get(sequence) or self._table(sequence)
        tables = addresses.ctypes.data, strides.ctypes.data
        sequence.call(*tables, 0, self.networks, self.rows, self.tile, self.steps)

    def _table(self, sequence: CompiledLoop) -> tuple[np.ndarray, np.ndarray]:
        count = len(sequence.arrays)
        table = np.empty((count, self.steps), dtype=np.int64), np.zeros((count, 3), dtype=np.int64)
        for at, name in enumerate(sequence.arrays):
            self._fill(name, self._own.get(name) or self._shared[name], at, *table)
        self._tables[sequence] = table
        return table

    def _fill(self, name: str, array: _Array, at: int, addresses: np.ndarray, strides: np.ndarray) -> None:
        """Where an array lies at every step, and its strides over networks, over rows, and over tiles' first rows."""
        tensor = array.tensor
        by_network, by_slot, by_row, _ = tensor.stride()
        slots = (np.arange(self.steps) + array.shift) % tensor.shape[1]
        addresses[at] = tensor.data_ptr() + tensor.element_size() * by_slot * slots
        if name in self._own:
            strides[at] = 0, by_row, 0
        elif name.startswith(_MATRICES):
            strides[at] = by_network, by_row, 0
        else:
            # An array of one row, such as a bias, is the same for all rows.
            by_row = by_row if tensor.shape[2] > 1 or self.rows == 1 else 0
            strides[at] = by_network, by_row, by_row
