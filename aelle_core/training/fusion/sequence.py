"""Whole sequences in one compiled function: a tile of rows of one network goes through all steps while it is cached."""

import ctypes
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types

from aelle_core.training.fusion.machine_code import compile_module
from aelle_core.training.fusion.pointwise import Pointwise
from aelle_core.training.fusion.products import emit_gradient, emit_product
from aelle_core.training.fusion.program import Place
from aelle_core.vector_code import INDEX, Emitter

_INDICES = INDEX.as_pointer()
_FLOATS = ir.FloatType().as_pointer()
_BYTES = ir.IntType(8).as_pointer()


@dataclass(frozen=True)
class Multiply:
    """result = left right, for every row of the tile; zero at the first step where the left side is `at_rest`."""

    left: Place
    right: str
    result: str
    sizes: tuple[int, int]
    at_rest: bool = False


@dataclass(frozen=True)
class Gradient:
    """result += left^T right over the tile's rows; nothing at the first step where the left side is `at_rest`."""

    left: Place
    right: Place
    result: str
    sizes: tuple[int, int]
    at_rest: bool = False


@dataclass(frozen=True)
class Fill:
    """Before a tile's first step: `target` becomes a copy of the array `source`, or zero; both are `width` wide."""

    target: str
    source: str | None
    width: int


@dataclass(frozen=True)
class Cut:
    """The arrays, `width` wide, become zero at steps where `marks` is not."""

    marks: str
    arrays: tuple[str, ...]
    width: int


Operation = Multiply | Gradient | Pointwise | Cut


class Sequence:
    """The compiled loop over networks, tiles and steps, in which `operations` follow each other.

    `arrays` names what it works on. A call takes two tables: the address of every array's first element at every step,
    array after array; and three strides in elements for each array: over networks, over rows, and over rows where a
    tile starts (zero for what belongs to the tile alone). Then the range of networks, rows, rows of a tile, and steps.
    """

    def __init__(self, fills: Listed[Fill], operations: Listed[Operation], units: int, backwards: bool) -> None:
        self._fills, self._operations, self._units, self._backwards = fills, operations, units, backwards
        names = [name for each in fills for name in (each.target, each.source) if name is not None]
        for each in operations:
            names += _names(each)
        self.arrays = tuple(dict.fromkeys(names))
        self.results = {each.result: each.sizes for each in operations if isinstance(each, Gradient)}
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
            [builder.load(emit.place(strides, 3 * at + which)) for at in range(len(self.arrays))] for which in range(3)
        )

        def network(index: Any, _: list[Any]) -> list[Any]:
            def tiles(start: Any, _: list[Any]) -> list[Any]:
                left = builder.sub(rows, start)
                count = builder.select(builder.icmp_signed("<", left, tile), left, tile)
                offsets = [
                    builder.add(builder.mul(index, one), builder.mul(start, other))
                    for one, other in zip(by_network, by_tile, strict=True)
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
            found = []
            for at, offset in enumerate(offsets):
                place = emit.place(addresses, builder.add(builder.mul(emit.index(at), steps), time))
                found.append(emit.place(builder.inttoptr(builder.load(place), _FLOATS), offset))
            return found

        final = builder.sub(steps, emit.index(1))
        if self._fills:
            bases = bases_at(final if self._backwards else emit.index(0))
            for fill in self._fills:
                self._emit_fill(emit, fill, bases, by_row, rows)

        def step(index: Any, _: list[Any]) -> list[Any]:
            time = builder.sub(final, index) if self._backwards else index
            bases = bases_at(time)
            for operation in self._operations:
                self._emit_operation(emit, operation, time, bases, by_row, rows)
            return []

        emit.loop(emit.index(0), steps, 1, [], step)

    def _emit_fill(self, emit: Emitter, fill: Fill, bases: Listed[Any], by_row: Listed[Any], rows: Any) -> None:
        target = self.arrays.index(fill.target)
        if fill.source is None:
            _zero(emit, bases[target], rows, fill.width)
            return
        source = self.arrays.index(fill.source)
        builder = emit.builder

        def copy(row: Any, _: list[Any]) -> list[Any]:
            pair = [
                builder.bitcast(emit.place(bases[at], builder.mul(row, by_row[at])), _BYTES) for at in (target, source)
            ]
            intrinsic = builder.module.declare_intrinsic("llvm.memcpy", [_BYTES, _BYTES, INDEX])
            builder.call(intrinsic, [*pair, emit.index(4 * fill.width), ir.Constant(ir.IntType(1), 0)])
            return []

        emit.loop(emit.index(0), rows, 1, [], copy)

    def _emit_operation(
        self, emit: Emitter, operation: Operation, time: Any, bases: Listed[Any], by_row: Listed[Any], rows: Any
    ) -> None:
        builder = emit.builder
        index = self.arrays.index
        if isinstance(operation, Pointwise):
            places = [index(name) for name in operation.arrays]
            operation.emit(emit, [bases[at] for at in places], [by_row[at] for at in places], rows, self._units)
            return

        if isinstance(operation, Cut):
            mark = builder.load(bases[index(operation.marks)])
            with builder.if_then(builder.fcmp_unordered("!=", mark, ir.Constant(emit.number, 0.0))):
                for name in operation.arrays:
                    _zero(emit, bases[index(name)], rows, operation.width)
            return

        def operand(place: Place) -> tuple[Any, Any]:
            at = index(place.array)
            return emit.place(bases[at], place.column * self._units), by_row[at]

        result = index(operation.result)

        def work() -> None:
            if isinstance(operation, Multiply):
                right = bases[index(operation.right)]
                emit_product(
                    emit, *operand(operation.left), right, bases[result], by_row[result], rows, operation.sizes
                )
            else:
                left, right = operand(operation.left), operand(operation.right)
                emit_gradient(emit, *left, *right, bases[result], rows, operation.sizes)

        if not operation.at_rest:
            work()
            return
        with builder.if_else(builder.icmp_signed("==", time, emit.index(0))) as (at_first, later):
            with at_first:
                if isinstance(operation, Multiply):
                    _zero(emit, bases[result], rows, operation.sizes[1])
            with later:
                work()


def _names(operation: Operation) -> list[str]:
    if isinstance(operation, Pointwise):
        return list(operation.arrays)
    if isinstance(operation, Cut):
        return [operation.marks, *operation.arrays]
    right = operation.right if isinstance(operation.right, str) else operation.right.array
    return [operation.left.array, right, operation.result]


def _zero(emit: Emitter, start: Any, rows: Any, width: int) -> None:
    """Zero rows that lie one after the other."""
    builder = emit.builder
    intrinsic = builder.module.declare_intrinsic("llvm.memset", [_BYTES, INDEX])
    size = builder.mul(rows, emit.index(4 * width))
    builder.call(
        intrinsic, [builder.bitcast(start, _BYTES), ir.Constant(ir.IntType(8), 0), size, ir.Constant(ir.IntType(1), 0)]
    )


def _loop_by(emit: Emitter, stop: Any, step: Any, body: Any) -> None:
    """for start in range(0, stop, step), with a step that is known only when it runs."""
    builder = emit.builder
    count = builder.sdiv(builder.add(stop, builder.sub(step, emit.index(1))), step)
    emit.loop(emit.index(0), count, 1, [], lambda number, _: body(builder.mul(number, step), []))
