"""The arrays of one shape that compiled sequences run on, kept from mini-batch to mini-batch."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core.training.fusion.recurrence import Recurrence
from aelle_core.training.fusion.sequence import Sequence
from aelle_core.training.fusion.sequences import Sequences

_TILE_ROWS = 32  # what a tile keeps for itself and a weight matrix of 64 units lie in the second cache together
_MATRICES = ("matrix ", "gradient ", "total ")  # arrays that all rows share


@dataclass(frozen=True)
class _Shared:
    """A tensor (networks, slots, rows, width); step t lies in slot t + shift, modulo `slots` where they are reused."""

    tensor: Tensor
    shift: int = 0


@dataclass(frozen=True)
class _Scratch:
    """An array that belongs to one tile: (slots, rows, width)."""

    tensor: Tensor
    shift: int = 0


class Workspace:
    """The arrays of mini-batches of one shape, shared by all tiles, and those of a tile for each thread."""

    def __init__(self, sequences: Sequences, shape: tuple[int, int, int], training: bool, threads: int) -> None:
        self.networks, self.steps, self.rows = shape
        self.sequences, self.training, self.uses = sequences, training, 0
        self.threads = min(threads, self.networks)
        self.tile = min(self.rows, _TILE_ROWS)
        self._shared: dict[str, _Shared] = {}
        self._scratch: list[dict[str, _Scratch]] = [{} for _ in range(self.threads)]
        self._tables: dict[tuple[Sequence, int], tuple[np.ndarray, np.ndarray]] = {}
        recurrence, units = sequences.recurrence, sequences.units
        for part in recurrence.step.outputs:
            states = torch.zeros(self.networks, self.steps + 1 if training else 2, self.rows, units)
            self._shared[f"state {part}"], self._shared[f"new {part}"] = _Shared(states), _Shared(states, 1)
        forward = recurrence.training if training else recurrence.forward
        later = set(sequences.backward.arrays) if training else set()
        if sequences.features is None:
            later.add("drive")  # given by whoever looks the codes up
        self._add("drive", recurrence.step.drive_columns, kept="drive" in later)
        for each in forward.multiplications:
            self._add(each.result, each.result_columns)
        for name, columns in forward.written.items():
            if name not in self._shared:
                self._add(name, columns, kept=name in later)
        if training:
            self._add_backward(recurrence)

    def _add_backward(self, recurrence: Recurrence) -> None:
        for scratch in self._scratch:
            scratch["ones"] = _Scratch(torch.ones(1, self.tile, 1))
        for each in recurrence.backward.multiplications:
            self._add(each.result, each.result_columns, later="later " + each.result.removeprefix("d "))
        for name, columns in recurrence.backward.written.items():
            if name.startswith("d rest "):
                self._add(name, columns, later="later " + name.removeprefix("d "))
            else:
                self._add(name, columns, kept=name == "d drive" and self.sequences.features is None)

    def _add(self, name: str, columns: int, kept: bool = False, later: str | None = None) -> None:
        """An array of so many columns: one step of one tile; `kept` for all; with what it is called a step `later`."""
        width = columns * self.sequences.units
        if kept:
            self._shared[name] = _Shared(torch.zeros(self.networks, self.steps, self.rows, width))
            return
        for scratch in self._scratch:
            tensor = torch.zeros(2 if later else 1, self.tile, width)
            scratch[name] = _Scratch(tensor)
            if later:
                scratch[later] = _Scratch(tensor, 1)

    def slot(self, name: str, step: int) -> Tensor:
        """A shared array at a step, (networks, rows, width)."""
        array = self._shared[name]
        return array.tensor[:, (step + array.shift) % array.tensor.shape[1]]

    def whole(self, name: str) -> Tensor:
        """A shared array at all steps, (networks, steps, rows, width), a view."""
        array = self._shared[name]
        return array.tensor[:, array.shift : self.steps + array.shift]

    def give(self, arrays: Mapping[str, Tensor]) -> None:
        """Arrays from outside, (networks, steps or 1, rows or 1, width), with what is in a row side by side."""
        for name, tensor in arrays.items():
            self._shared[name] = _Shared(tensor if tensor.stride(-1) == 1 else tensor.contiguous())
            for (sequence, _), (addresses, strides) in self._tables.items():
                if name in sequence.arrays:
                    self._fill(name, self._shared[name], sequence.arrays.index(name), addresses, strides)

    def run(self, sequence: Sequence) -> None:
        """Run it on all networks, a share of them on each thread."""
        bounds = np.linspace(0, self.networks, self.threads + 1).astype(int).tolist()

        def part(thread: int) -> None:
            addresses, strides = self._tables.get((sequence, thread)) or self._table(sequence, thread)
            place = addresses.ctypes.data, strides.ctypes.data
            sequence.call(*place, bounds[thread], bounds[thread + 1], self.rows, self.tile, self.steps)

        others = [threading.Thread(target=part, args=(thread,)) for thread in range(1, self.threads)]
        for other in others:
            other.start()
        part(0)
        for other in others:
            other.join()

    def _table(self, sequence: Sequence, thread: int) -> tuple[np.ndarray, np.ndarray]:
        count = len(sequence.arrays)
        table = np.empty((count, self.steps), dtype=np.int64), np.zeros((count, 3), dtype=np.int64)
        for at, name in enumerate(sequence.arrays):
            self._fill(name, self._scratch[thread].get(name) or self._shared[name], at, *table)
        self._tables[sequence, thread] = table
        return table

    def _fill(
        self, name: str, array: "_Shared | _Scratch", at: int, addresses: np.ndarray, strides: np.ndarray
    ) -> None:
        """Where an array lies at every step, and its strides over networks, over rows, and over tiles' first rows."""
        tensor = array.tensor
        axis = 0 if isinstance(array, _Scratch) else 1
        slots = (np.arange(self.steps) + array.shift) % tensor.shape[axis]
        addresses[at] = tensor.data_ptr() + tensor.element_size() * tensor.stride(axis) * slots
        by_row = tensor.stride(axis + 1)
        if isinstance(array, _Scratch):
            strides[at] = 0, by_row, 0
        elif name.startswith(_MATRICES):
            strides[at] = tensor.stride(0), by_row, 0
        else:
            # An array of one row, such as a bias, is the same for all rows.
            by_row = by_row if tensor.shape[2] > 1 or self.rows == 1 else 0
            strides[at] = tensor.stride(0), by_row, by_row
