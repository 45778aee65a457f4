"""A compiled recurrence along whole sequences, tile by tile, as one function of autograd."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from aelle_core.training.fusion.adjoint import is_state
from aelle_core.training.fusion.function import SequenceFunction
from aelle_core.training.fusion.inputs import multiply, weight_adjoint
from aelle_core.training.fusion.kernel import Pointwise
from aelle_core.training.fusion.program import Place, Program
from aelle_core.training.fusion.recurrence import CompiledProgram, Recurrence
from aelle_core.training.fusion.sequence import Fill, Gradient, Multiply, Operation, Sequence
from aelle_core.training.fusion.workspace import StepArray

_TILE_ROWS = 64  # a tile's arrays and a weight matrix of 64 units lie in the second cache together
_MATRICES = ("matrix ", "gradient ", "total ")  # arrays that all rows share


class TiledSequences:
    """The compiled sequences of one recurrence, for cells of some units; made when they are first needed.

    With `dense` inputs their product with the input weight is part of the sequences, else (codes) the drive is given.
    Arrays are named as in Recurrence, and further: `inputs`; `matrix ...` the right sides of products, by the program's
    number or `matrix inputs`; `ones`; `outputs' adjoint`; `gradient ...` of the matrices by the forward program's
    number, or of the inputs' weight; `total NAME` of a pointwise weight's adjoint.
    """

    def __init__(self, recurrence: Recurrence, units: int, features: int | None) -> None:
        self.recurrence, self.units, self.features = recurrence, units, features
        step = recurrence.step
        self._at_rest = {number for number, product in enumerate(step.products) if is_state(product.operand)}
        self.drive_width = step.drive_columns * units

    @cached_property
    def forward(self) -> Sequence:
        """The step without keeping anything."""
        return Sequence([], self._forward(self.recurrence.forward.program), self.units, backwards=False)

    @cached_property
    def training(self) -> Sequence:
        """The step, keeping what `backward` reads."""
        return Sequence([], self._forward(self.recurrence.training.program), self.units, backwards=False)

    def _forward(self, program: Program) -> list[Operation]:
        found: list[Operation] = []
        if self.features is not None:
            found.append(Multiply(Place("inputs", 0), "matrix inputs", "drive", (self.features, self.drive_width)))
        return found + self._stages(program)

    def _stages(self, program: Program) -> list[Operation]:
        found: list[Operation] = []
        for stage in program.stages:
            for each in stage.multiplications:
                sizes = each.columns * self.units, each.result_columns * self.units
                rest = each.number in self._at_rest
                found.append(Multiply(each.operand, f"matrix {each.number}", each.result, sizes, rest))
            if stage.writes:
                found.append(Pointwise(stage.writes, stage.known))
        return found

    @cached_property
    def backward(self) -> Sequence:
        """The adjoint of all steps, with the gradients of all weights."""
        recurrence, units = self.recurrence, self.units
        fills, first = [], True
        for arrivals in recurrence.arrivals.values():
            fills += [Fill(array, None, units) for array in arrivals]
            if first and not recurrence.every:
                fills[0] = Fill(arrivals[0], "outputs' adjoint", units)
            first = False
        operations = self._stages(recurrence.backward.program)
        forward = recurrence.training.program.multiplications
        for product, adjoint in zip(forward, recurrence.backward.program.multiplications, strict=True):
            # Of a weight that is used transposed, the gradient is transposed as well.
            pair = [(product.operand, product.columns), (adjoint.operand, adjoint.columns)]
            (left, inner), (right, columns) = reversed(pair) if product.transposed else pair
            sizes = inner * units, columns * units
            rest = product.number in self._at_rest
            operations.append(Gradient(left, right, f"gradient {product.number}", sizes, rest))
        drive, ones = Place("d drive", 0), Place("ones", 0)
        if self.features is not None:
            sizes = self.features, self.drive_width
            operations.append(Gradient(Place("inputs", 0), drive, "gradient inputs", sizes))
        if recurrence.like_drive:
            operations.append(Gradient(ones, drive, "total drive", (1, self.drive_width)))
        for name in sorted(recurrence.weights - recurrence.like_drive):
            width = max(1, recurrence.step.weights[name]) * units
            operations.append(Gradient(ones, Place(f"d weight {name}", 0), f"total {name}", (1, width)))
        return Sequence(fills, operations, units, backwards=True)


@dataclass(frozen=True)
class _Scratch:
    """An array that belongs to one tile: (slots, rows, width)."""

    tensor: Tensor
    shift: int = 0


class TileWorkspace:
    """The arrays of mini-batches of one shape, shared by all tiles, and those of a tile for each thread."""

    def __init__(self, sequences: TiledSequences, shape: tuple[int, int, int], training: bool, threads: int) -> None:
        self.networks, self.steps, self.rows = shape
        self.sequences, self.training, self.uses = sequences, training, 0
        self.threads = min(threads, self.networks)
        self.tile = min(self.rows, _TILE_ROWS)
        self._shared: dict[str, StepArray] = {}
        self._scratch: list[dict[str, _Scratch]] = [{} for _ in range(self.threads)]
        self._tables: dict[tuple[Sequence, int], tuple[np.ndarray, np.ndarray]] = {}
        recurrence, units = sequences.recurrence, sequences.units
        for part in recurrence.step.outputs:
            states = torch.zeros(self.networks, self.steps + 1 if training else 2, self.rows, units)
            self._shared[f"state {part}"], self._shared[f"new {part}"] = StepArray(states), StepArray(states, 1)
        forward = (recurrence.training if training else recurrence.forward).program
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
        for each in recurrence.backward.program.multiplications:
            self._add(each.result, each.result_columns, later="later " + each.result.removeprefix("d "))
        for name, columns in recurrence.backward.program.written.items():
            if name.startswith("d rest "):
                self._add(name, columns, later="later " + name.removeprefix("d "))
            else:
                self._add(name, columns, kept=name == "d drive" and self.sequences.features is None)

    def _add(self, name: str, columns: int, kept: bool = False, later: str | None = None) -> None:
        """An array of so many columns: one step of one tile; `kept` for all; with what it is called a step `later`."""
        width = columns * self.sequences.units
        if kept:
            self._shared[name] = StepArray(torch.zeros(self.networks, self.steps, self.rows, width))
            return
        for scratch in self._scratch:
            tensor = torch.zeros(2 if later else 1, self.tile, width)
            scratch[name] = _Scratch(tensor)
            if later:
                scratch[later] = _Scratch(tensor, 1)

    def slot(self, name: str, step: int) -> Tensor:
        """A shared array at a step, (networks, rows, width)."""
        return self._shared[name].at(step)

    def whole(self, name: str) -> Tensor:
        """A shared array at all steps, (networks, steps, rows, width), a view."""
        array = self._shared[name]
        return array.tensor[:, array.shift : self.steps + array.shift]

    def give(self, arrays: Mapping[str, Tensor]) -> None:
        """Arrays from outside, (networks, steps or 1, rows or 1, width), with what is in a row side by side."""
        for name, tensor in arrays.items():
            self._shared[name] = StepArray(tensor if tensor.stride(-1) == 1 else tensor.contiguous())
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
        self, name: str, array: "StepArray | _Scratch", at: int, addresses: np.ndarray, strides: np.ndarray
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


class Tiled(SequenceFunction[TileWorkspace]):
    """A tile of rows of one network goes through all steps, products included, while it lies in the cache."""

    def __init__(self, recurrence: Recurrence, units: int) -> None:
        super().__init__(recurrence, units)
        self._sequences: dict[int | None, TiledSequences] = {}

    def make_workspace(self, inputs: Tensor, training: bool) -> TileWorkspace:
        features = inputs.shape[3] if inputs.is_floating_point() else None
        if features not in self._sequences:
            self._sequences[features] = TiledSequences(self.recurrence, self.units, features)
        networks, steps, rows = inputs.shape[:3]
        shape = networks, steps, rows
        return TileWorkspace(self._sequences[features], shape, training, torch.get_num_threads())

    def outputs(self, workspace: TileWorkspace) -> Tensor:
        part = next(iter(self.recurrence.step.outputs))
        if self.recurrence.every:
            return workspace.whole(f"new {part}").clone()
        return workspace.slot(f"new {part}", workspace.steps - 1).clone()

    def forward(
        self, workspace: TileWorkspace, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None
    ) -> None:
        step = self.recurrence.step
        given = {f"weight {name}": value.unsqueeze(1) for name, value in weights.items() if value.shape[1] == 1}
        if noise is not None:
            given["noise"] = noise
        right = weights[step.input_weight]
        right = right.mT.contiguous() if step.input_transposed else right.contiguous()
        if inputs.is_floating_point():
            given |= {"inputs": inputs, "matrix inputs": right.unsqueeze(1)}
        else:
            multiply(inputs, right, out=workspace.whole("drive").flatten(1, 2))
        compiled = self.recurrence.training if workspace.training else self.recurrence.forward
        workspace.give(given | _matrices(compiled, weights))
        for part in step.outputs:
            workspace.slot(f"state {part}", 0).zero_()
        sequences = workspace.sequences
        workspace.run(sequences.training if workspace.training else sequences.forward)
        workspace.uses += 1

    def backward(
        self,
        workspace: TileWorkspace,
        inputs: Tensor,
        weights: Mapping[str, Tensor],
        gradient: Tensor,
        wanted: set[str],
    ) -> dict[str, Tensor]:
        recurrence, sequence = self.recurrence, workspace.sequences.backward
        step = recurrence.step
        results = {name: torch.zeros(workspace.networks, 1, *sizes) for name, sizes in sequence.results.items()}
        outputs = {"d output": gradient} if recurrence.every else {"outputs' adjoint": gradient.unsqueeze(1)}
        workspace.give(results | outputs | _matrices(recurrence.backward, weights))
        workspace.run(sequence)
        found: dict[str, Tensor] = {}
        if step.input_weight in wanted:
            if inputs.is_floating_point():
                share = results["gradient inputs"].squeeze(1)
            else:
                axis = 2 if step.input_transposed else 1
                drive = workspace.whole("d drive").flatten(1, 2)
                share = weight_adjoint(inputs, drive, weights[step.input_weight].shape[axis])
            found[step.input_weight] = share.mT if step.input_transposed else share
        for product in recurrence.training.program.multiplications:
            if product.weight in wanted:
                share = results[f"gradient {product.number}"].squeeze(1)
                found[product.weight] = found[product.weight] + share if product.weight in found else share
        for name in recurrence.weights:
            total = results["total drive" if name in recurrence.like_drive else f"total {name}"].squeeze(1)
            total = total if step.weights[name] else total.sum(dim=2, keepdim=True)
            found[name] = found[name] + total if name in found else total
        return found


def _matrices(compiled: CompiledProgram, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The right sides of a program's products, (networks, 1, inner, columns)."""
    found = {}
    for each in compiled.program.multiplications:
        weight = weights[each.weight]
        weight = weight.mT.contiguous() if each.transposed else weight.contiguous()
        found[f"matrix {each.number}"] = weight.unsqueeze(1)
    return found
