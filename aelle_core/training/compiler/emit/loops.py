"""Whole sequences in one compiled function: a tile of rows of one network goes through all steps while it is cached."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from llvmlite import ir
from numba.core import types

from aelle_core.foundation.machine_code import compile_module
from aelle_core.foundation.vector_instructions import INDEX, Emitter
from aelle_core.training.compiler.emit.cross_entropy import emit_cross_entropy
from aelle_core.training.compiler.emit.pointwise import Pointwise
from aelle_core.training.compiler.emit.products import emit_gradient, emit_product
from aelle_core.training.compiler.emit.rows import add_row, code_at, copy_row, zero_rows
from aelle_core.training.compiler.emit.squared_error import emit_squared_error
from aelle_core.training.compiler.emit.subroutines import call
from aelle_core.training.compiler.operations import (
    Comparison,
    CrossEntropy,
    Cut,
    Gather,
    Gradient,
    LookUp,
    Multiply,
    Operation,
    ScatterAdd,
    Start,
)
from aelle_core.training.compiler.schedule import Location

_INDICES = INDEX.as_pointer()
_FLOATS = ir.FloatType().as_pointer()


@dataclass(frozen=True)
class Pass:
    """What is done with a tile: `starts`, then `operations` at every step, forwards or `backwards` in time, or at the
    `last` step only."""

    operations: tuple[Operation, ...]
    starts: tuple[Start, ...] = ()
    order: Literal["forwards", "backwards", "last"] = "forwards"


class CompiledLoop:
    """The compiled loop over networks and their tiles, each of which goes through all `passes`.

    `arrays` names what it works on. A call takes two tables: the address of every array's first element at every step,
    array after array; and three strides in elements for each array: over networks, over rows, and over rows where a
    tile starts (zero for what belongs to the tile alone). Then the range of networks, rows, rows of a tile, and steps.
    """

    def __init__(self, passes: Sequence[Pass], units: int) -> None:
        self._passes, self._units = passes, units
        every = [operation for part in passes for operation in (*part.starts, *part.operations)]
        self.arrays = tuple(dict.fromkeys(name for operation in every for name in operation.names))
        self.results = {
            operation.result: operation.sizes for operation in every if isinstance(operation, Gradient | ScatterAdd)
        }
        """The sums over all rows that a call adds to, and their sizes."""
        self._engine = compile_module(self._emit())
        arguments = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 5]
        self.call = ctypes.CFUNCTYPE(None, *arguments)(self._engine.get_function_address("sequence"))

    def _emit(self) -> ir.Module:
        module = ir.Module("sequence")
        kind = ir.FunctionType(ir.VoidType(), [_INDICES, _INDICES, *[INDEX] * 5])
        function = ir.Function(module, kind, "sequence")
        addresses, strides, first, last, rows, tile, steps = function.args
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        emit = Emitter(builder, types.float32)
        by_network, by_row, by_tile = (
            [builder.load(emit.pointer(strides, 3 * at + kind_at)) for at in range(len(self.arrays))]
            for kind_at in range(3)
        )

        def network(index: Any, _: list[Any]) -> list[Any]:
            def tiles(start: Any, _: list[Any]) -> list[Any]:
                left = builder.sub(rows, start)
                count = builder.select(builder.icmp_signed("<", left, tile), left, tile)
                offsets = [
                    builder.add(builder.mul(index, of_network), builder.mul(start, of_tile))
                    for of_network, of_tile in zip(by_network, by_tile, strict=True)
                ]
                self._emit_tile(emit, addresses, offsets, by_row, count, steps)
                return []

            _loop_by(emit, rows, tile, tiles)
            return []

        emit.loop(first, last, 1, [], network)
        builder.ret_void()
        return module

    def _emit_tile(self, emit: Emitter, addresses: Any, offsets: Any, by_row: Any, rows: Any, steps: Any) -> None:
        builder = emit.builder

        def bases_at(time: Any) -> list[Any]:
            bases = []
            for at, offset in enumerate(offsets):
                slot = emit.pointer(addresses, builder.add(builder.mul(emit.index(at), steps), time))
                bases.append(emit.pointer(builder.inttoptr(builder.load(slot), _FLOATS), offset))
            return bases

        final = builder.sub(steps, emit.index(1))
        for part in self._passes:
            bases = bases_at(emit.index(0) if part.order == "forwards" else final) if part.starts else []
            for start in part.starts:
                if isinstance(start, Gather):
                    self._emit_gather(emit, start, bases_at, by_row, rows, steps)
                else:
                    zero_rows(emit, bases[self.arrays.index(start.target)], rows, start.width)

            def step(index: Any, _: list[Any], part: Pass = part) -> list[Any]:
                time = index if part.order == "forwards" else builder.sub(final, index)
                bases = bases_at(time)
                for operation in part.operations:
                    self._emit_operation(emit, operation, time, bases, by_row, rows)
                return []

            emit.loop(emit.index(0), emit.index(1) if part.order == "last" else steps, 1, [], step)

    def _emit_gather(self, emit: Emitter, gather: Gather, bases_at: Any, by_row: Any, rows: Any, steps: Any) -> None:
        target, source = (self.arrays.index(name) for name in gather.names)

        # Rows outside: that is how they lie in the examples.
        def copy(row: Any, _: list[Any]) -> list[Any]:
            def copy_at(time: Any, _: list[Any]) -> list[Any]:
                bases = bases_at(time)
                copy_row(emit, (bases[source], by_row[source], row), (bases[target], by_row[target], row), gather.width)
                return []

            return emit.loop(emit.index(0), steps, 1, [], copy_at)

        emit.loop(emit.index(0), rows, 1, [], copy)

    def _emit_operation(
        self, emit: Emitter, operation: Operation, time: Any, bases: Sequence[Any], by_row: Sequence[Any], rows: Any
    ) -> None:
        builder = emit.builder
        index = self.arrays.index
        if isinstance(operation, Pointwise):
            indices = [index(name) for name in operation.names]
            count, number = (
                len(indices),
                [candidate for part in self._passes for candidate in part.operations].index(operation),
            )

            def pointwise(emit: Emitter, rows: Any, *given: Any) -> None:
                operation.emit(emit, given[:count], given[count:], rows, self._units)

            given = [rows, *(bases[at] for at in indices), *(by_row[at] for at in indices)]
            call(emit, f"pointwise {number}", pointwise, given)
            return

        if isinstance(operation, Comparison):
            scores, bias, targets, share, total = (bases[index(name)] for name in operation.names)
            strides = [by_row[index(name)] for name in (operation.targets, operation.share)]
            compare = emit_cross_entropy if isinstance(operation, CrossEntropy) else emit_squared_error
            given = [scores, bias, targets, strides[0], share, strides[1], total, rows]
            call(emit, "comparison", partial(compare, outputs=operation.outputs), given)
            return

        if isinstance(operation, LookUp | ScatterAdd):
            self._emit_by_codes(emit, operation, bases, by_row, rows)
            return

        if isinstance(operation, Cut):
            mark = builder.load(bases[index(operation.marks)])
            with builder.if_then(builder.fcmp_unordered("!=", mark, ir.Constant(emit.number, 0.0))):
                for name in operation.arrays:
                    zero_rows(emit, bases[index(name)], rows, operation.width)
            return

        def operand(location: Location) -> tuple[Any, Any]:
            at = index(location.array)
            return emit.pointer(bases[at], location.column * self._units), by_row[at]

        result = index(operation.result)

        def work() -> None:
            if isinstance(operation, Multiply):
                right = bases[index(operation.right)]
                given = [*operand(operation.left), right, bases[result], by_row[result], rows]
                call(emit, f"product {operation.sizes}", partial(emit_product, sizes=operation.sizes), given)
            else:
                given = [*operand(operation.left), *operand(operation.right), bases[result], rows]
                call(emit, f"gradient {operation.sizes}", partial(emit_gradient, sizes=operation.sizes), given)

        if not operation.at_rest:
            work()
            return
        with builder.if_else(builder.icmp_signed("==", time, emit.index(0))) as (at_first, later):
            with at_first:
                if isinstance(operation, Multiply):
                    zero_rows(emit, bases[result], rows, operation.sizes[1])
            with later:
                work()

    def _emit_by_codes(
        self, emit: Emitter, operation: LookUp | ScatterAdd, bases: Sequence[Any], by_row: Sequence[Any], rows: Any
    ) -> None:
        codes, source, target = ((bases[at], by_row[at]) for at in map(self.arrays.index, operation.names))

        def row(index: Any, _: list[Any]) -> list[Any]:
            chosen = code_at(emit, *codes, index)
            if isinstance(operation, LookUp):
                copy_row(emit, (*source, chosen), (*target, index), operation.width)
            else:
                add_row(emit, (*source, index), (*target, chosen), operation.sizes[1])
            return []

        emit.loop(emit.index(0), rows, 1, [], row)


def _loop_by(emit: Emitter, stop: Any, step: Any, body: Any) -> None:
    """for start in range(0, stop, step), with a step that is known only when it runs."""
    builder = emit.builder
    count = builder.sdiv(builder.add(stop, builder.sub(step, emit.index(1))), step)
    emit.loop(emit.index(0), count, 1, [], lambda number, _: body(builder.mul(number, step), []))
