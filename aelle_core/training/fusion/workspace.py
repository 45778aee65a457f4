"""The arrays of one shape that a compiled recurrence runs on, kept from mini-batch to mini-batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core.training.fusion.kernel import Kernel
from aelle_core.training.fusion.program import Multiplication, Place
from aelle_core.training.fusion.recurrence import CompiledProgram, Recurrence


@dataclass(frozen=True)
class StepArray:
    """A tensor (networks, slots, rows, width); step t lies in slot t + shift, modulo `slots` where they are reused."""

    tensor: Tensor
    shift: int = 0

    def at(self, step: int) -> Tensor:
        """The slot of a step, (networks, rows, width)."""
        return self.tensor[:, (step + self.shift) % self.tensor.shape[1]]


class Workspace:
    """Arrays for `networks` x `rows` sequences of `steps` steps; without `training` what the forward pass needs."""

    def __init__(
        self, recurrence: Recurrence, networks: int, steps: int, rows: int, units: int, training: bool
    ) -> None:
        self.recurrence, self.training, self.steps = recurrence, training, steps
        self._shape = (networks, rows, units)
        self._arrays: dict[str, StepArray] = {}
        self._views: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self._tables: dict[Kernel, tuple[int, int]] = {}
        self._kept: dict[Kernel, tuple[np.ndarray, np.ndarray]] = {}
        self.uses = 0  # how often the forward pass has overwritten what is in here
        slots = steps + 1 if training else 2
        for part in recurrence.step.outputs:
            states = self._new(slots, 1)
            self._arrays[f"state {part}"], self._arrays[f"new {part}"] = StepArray(states), StepArray(states, 1)
        self._arrays["drive"] = StepArray(self._new(steps, recurrence.step.drive_columns))
        forward = recurrence.training if training else recurrence.forward
        for each in forward.program.multiplications:
            self._arrays[each.result] = StepArray(self._new(1, each.result_columns))
        for name, columns in forward.program.written.items():
            if name not in self._arrays:
                self._arrays[name] = StepArray(self._new(steps if training else 1, columns))
        if training:
            for each in recurrence.backward.program.multiplications:
                pair = self._new(2, each.result_columns)
                self._arrays[each.result] = StepArray(pair)
                self._arrays["later " + each.result.removeprefix("d ")] = StepArray(pair, 1)
            for name, columns in recurrence.backward.program.written.items():
                if name.startswith("d rest "):
                    pair = self._new(2, columns)
                    self._arrays[name], self._arrays["later " + name.removeprefix("d ")] = (
                        StepArray(pair),
                        StepArray(pair, 1),
                    )
                else:
                    self._arrays[name] = StepArray(self._new(steps, columns))
        self._given: set[str] = set()

    def _new(self, slots: int, columns: int) -> Tensor:
        networks, rows, units = self._shape
        return torch.zeros(networks, slots, rows, columns * units)

    def give(self, arrays: Mapping[str, Tensor]) -> None:
        """Arrays from outside, (networks, steps or 1, rows or 1, width), with units side by side."""
        for name, tensor in arrays.items():
            self._arrays[name] = StepArray(tensor)
        self._given = set(arrays)
        self._tables.clear()

    def slot(self, name: str, step: int) -> Tensor:
        """The array at a step, (networks, rows, width)."""
        return self._arrays[name].at(step)

    def whole(self, place: Place, columns: int, first: int = 0) -> Tensor:
        """An array's columns at all steps from `first` on as (networks, steps * rows, columns * units), a view."""
        array, units = self._arrays[place.array], self._shape[2]
        tensor = array.tensor[:, first + array.shift : self.steps + array.shift]
        return tensor[..., place.column * units : (place.column + columns) * units].flatten(1, 2)

    def run(self, program: CompiledProgram, step: int, weights: Mapping[int, Tensor], skip: Sequence[int] = ()) -> None:
        """One step: `weights` are the products' right sides by number; those in `skip` are zero."""
        for stage, kernel in program.stages:
            for each in stage.multiplications:
                operand, result = self._views.get((each.result, step)) or self._viewed(each, step)
                if each.number in skip:
                    result.zero_()
                else:
                    torch.bmm(operand, weights[each.number], out=result)
            if kernel is not None:
                addresses, strides = self._tables.get(kernel) or self._table(kernel)
                kernel.call(addresses + step * 8 * len(kernel.arrays), strides, *self._shape)

    def _viewed(self, product: Multiplication, step: int) -> tuple[Tensor, Tensor]:
        """The operand and the result of a product, (networks, rows, columns * units) each. Making views takes as long
        as a small product, so that they are kept."""
        units = self._shape[2]
        operand = self._arrays[product.operand.array].at(step)
        if operand.shape[-1] != product.columns * units:
            operand = operand[..., product.operand.column * units : (product.operand.column + product.columns) * units]
        views = operand, self._arrays[product.result].at(step)
        if product.operand.array not in self._given:
            self._views[product.result, step] = views
        return views

    def _table(self, kernel: Kernel) -> tuple[int, int]:
        """The addresses of two tables: where the kernel's arrays lie at every step, and their strides."""
        if kernel not in self._tables:
            arrays = [self._arrays[name] for name in kernel.arrays]
            steps = np.arange(self.steps)
            columns = [
                each.tensor.data_ptr() + 4 * each.tensor.stride(1) * ((steps + each.shift) % each.tensor.shape[1])
                for each in arrays
            ]
            addresses = np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.int64)
            # An array of one row, such as a bias, is the same for all rows.
            by_row = [
                each.tensor.stride(2) if each.tensor.shape[2] > 1 or self._shape[1] == 1 else 0 for each in arrays
            ]
            strides = np.array([each.tensor.stride(0) for each in arrays] + by_row, dtype=np.int64)
            self._kept[kernel] = addresses, strides
            self._tables[kernel] = addresses.ctypes.data, strides.ctypes.data
        return self._tables[kernel]
