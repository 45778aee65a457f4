"""Inner loops over blocks of columns, written as vector code for LLVM.

numba's own loops reach two fifths of what these do (docs/benchmarks/spectrum.md): the sums must stay in registers over
a whole pass, which loops over arrays do not express. Every array is C-contiguous, real, and all of one type; places
in them are given in elements.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from aelle_core.foundation.vector_instructions import REGISTERS
from aelle_core.lyapunov.kernels.householder.emitter import (
    INDEX,
    LANE,
    PANEL,
    Emitter,
    lanes,
    pointers,
    returns_nothing,
)


def _products_with(
    emit: Emitter, rows: Any, vectors: int, width: int, load_row: Callable[[Any], tuple[list[Any], Any]]
) -> list[Any]:
    """Sums over rows of the PANEL factors of a row times each of its vectors, panel by panel. `load_row` gives a row's
    vectors and where its factors are.

    Sums that do not fit into the registers cost a third of the speed. So where there are few registers, the rows are
    read twice, for half of the factors each time.
    """
    fit = PANEL * vectors + vectors < REGISTERS
    at_once = PANEL if fit else PANEL // 2
    sums: list[Any] = []
    for first in range(0, PANEL, at_once):

        def add_row(row: Any, totals: list[Any], first: int = first) -> list[Any]:
            values, factors = load_row(row)
            for p in range(at_once):
                factor = emit.load_spread(emit.pointer(factors, first + p), width)
                for vector in range(vectors):
                    at = p * vectors + vector
                    totals[at] = emit.add_product(totals[at], factor, values[vector])
            return totals

        sums += emit.loop(emit.index(0), rows, 1, [emit.zeros(width)] * (at_once * vectors), add_row)
    return sums


def _in_tiles(emit: Emitter, columns: Any, widest: int, width: int, tile: Callable[[Any, int], None]) -> None:
    """Emit tile(first column, registers a row) for all columns: `widest` registers of `width` lanes a row as long as
    there are so many columns, one for what is left."""

    def of(registers: int) -> Callable[[Any, list[Any]], list[Any]]:
        def body(column: Any, _: list[Any]) -> list[Any]:
            tile(column, registers)
            return []

        return body

    at_once = emit.index(widest * width)
    wide = emit.builder.mul(emit.builder.sdiv(columns, at_once), at_once)
    emit.loop(emit.index(0), wide, widest * width, [], of(widest))
    emit.loop(wide, columns, width, [], of(1))


@intrinsic
def lanes_of(typing_context, array):  # type: ignore[no-untyped-def]
    """Numbers of the array's type in one vector register."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return ir.Constant(INDEX, lanes(signature.args[0].dtype.bitwidth // 8))

    return types.intp(array), generate


@intrinsic
def reflect(typing_context, block, origin, stride, v, y, panel, rows, columns):  # type: ignore[no-untyped-def]
    """block <- block - Y V^T block, for (rows, columns) of the block from `origin` on; V and Y are (rows, PANEL) from
    `panel` on in v and y. The columns are a whole number of lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        block, origin, stride, v, y, panel, rows, columns = pointers(context, builder, signature, arguments)
        width = lanes(emit.bits // 8)
        start, v, y = emit.pointer(block, origin), emit.pointer(v, panel), emit.pointer(y, panel)
        zero = emit.index(0)

        def tile(column: Any, vectors: int) -> None:
            top = emit.pointer(start, column)

            def load_row(row: Any, factors: Any) -> tuple[Any, list[Any], Any]:
                at = emit.pointer(top, builder.mul(row, stride))
                values = [emit.load(emit.pointer(at, vector * width), width) for vector in range(vectors)]
                return at, values, emit.pointer(factors, builder.mul(row, emit.index(PANEL)))

            def row_of_v(row: Any) -> tuple[list[Any], Any]:
                _, values, factors = load_row(row, v)
                return values, factors

            sums = [builder.fneg(total) for total in _products_with(emit, rows, vectors, width, row_of_v)]

            def subtract_row(row: Any, _: list[Any]) -> list[Any]:
                at, values, factors = load_row(row, y)
                for p in range(PANEL):
                    factor = emit.load_spread(emit.pointer(factors, p), width)
                    for vector in range(vectors):
                        values[vector] = emit.add_product(values[vector], factor, sums[p * vectors + vector])
                for vector in range(vectors):
                    emit.store(values[vector], emit.pointer(at, vector * width))
                return []

            emit.loop(zero, rows, 1, [], subtract_row)

        _in_tiles(emit, columns, 2, width, tile)
        return context.get_dummy_value()

    return returns_nothing((block, origin, stride, v, y, panel, rows, columns)), generate


@intrinsic
def multiply(typing_context, out, origin, matrix, offset, matrix_stride, block, stride, rows, columns):  # type: ignore[no-untyped-def]
    """out (PANEL, columns), from `origin` on, <- M^T block, for (rows, columns) of the block; M is (rows, PANEL) from
    `offset` on in the matrix. Out has the block's stride. The columns are a whole number of lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        out, origin, matrix, offset, matrix_stride, block, stride, rows, columns = pointers(
            context, builder, signature, arguments
        )
        width = lanes(emit.bits // 8)
        out, matrix = emit.pointer(out, origin), emit.pointer(matrix, offset)

        def tile(column: Any, vectors: int) -> None:
            def load_row(row: Any) -> tuple[list[Any], Any]:
                at = emit.pointer(block, builder.mul(row, stride), column)
                values = [emit.load(emit.pointer(at, vector * width), width) for vector in range(vectors)]
                return values, emit.pointer(matrix, builder.mul(row, matrix_stride))

            sums = _products_with(emit, rows, vectors, width, load_row)
            for p in range(PANEL):
                line = emit.pointer(out, column, builder.mul(emit.index(p), stride))
                for vector in range(vectors):
                    emit.store(sums[p * vectors + vector], emit.pointer(line, vector * width))

        _in_tiles(emit, columns, 2, width, tile)
        return context.get_dummy_value()

    return returns_nothing((out, origin, matrix, offset, matrix_stride, block, stride, rows, columns)), generate


@intrinsic
def exchange(typing_context, array, first, second, count):  # type: ignore[no-untyped-def]
    """Exchange the `count` elements from `first` on with those from `second` on; a whole number of PANELs."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        array, first, second, count = pointers(context, builder, signature, arguments)

        def swap(index: Any, _: list[Any]) -> list[Any]:
            first_column, second_column = emit.pointer(array, first, index), emit.pointer(array, second, index)
            kept, moved = emit.load(first_column, PANEL), emit.load(second_column, PANEL)
            emit.store(moved, first_column)
            emit.store(kept, second_column)
            return []

        emit.loop(emit.index(0), count, PANEL, [], swap)
        return context.get_dummy_value()

    return returns_nothing((array, first, second, count)), generate


@intrinsic
def accumulate(typing_context, target, to, source, origin, factors, scale, count):  # type: ignore[no-untyped-def]
    """target[to + i] += factors[scale + i] * source[origin + i] for i below count, in arrays read as flat."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        target, to, source, origin, factors, scale, count = pointers(context, builder, signature, arguments)
        target, source, factors = emit.pointer(target, to), emit.pointer(source, origin), emit.pointer(factors, scale)

        def add(width: int) -> Callable[[Any, list[Any]], Sequence[Any]]:
            def change(index: Any, _: list[Any]) -> list[Any]:
                at = emit.pointer(target, index)
                left, right = (emit.load(emit.pointer(pointer, index), width) for pointer in (factors, source))
                emit.store(emit.add_product(emit.load(at, width), left, right), at)
                return []

            return change

        width = lanes(emit.bits // 8)
        whole = builder.mul(builder.sdiv(count, emit.index(width)), emit.index(width))
        emit.loop(emit.index(0), whole, width, [], add(width))
        emit.loop(whole, count, 1, [], add(1))
        return context.get_dummy_value()

    return returns_nothing((target, to, source, origin, factors, scale, count)), generate


@intrinsic
def transpose(typing_context, source, source_stride, target, origin, target_stride, rows, columns):  # type: ignore[no-untyped-def]
    """target[j, i] <- source[i, j] for i below rows and j below columns, from `origin` on in the target; both numbers
    are rounded up to whole PANELs, for which there must be room."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        source, source_stride, target, origin, target_stride, rows, columns = pointers(
            context, builder, signature, arguments
        )
        target = emit.pointer(target, origin)

        def exchange_lanes(lines: list[Any], distance: int) -> list[Any]:
            """Of each pair of lines `distance` apart, the off-diagonal squares of that size change places."""
            kind = ir.VectorType(LANE, PANEL)
            upper = [lane if not lane & distance else PANEL + lane - distance for lane in range(PANEL)]
            lower = [lane + distance if not lane & distance else PANEL + lane for lane in range(PANEL)]
            changed = list(lines)
            for line in range(PANEL):
                if not line & distance:
                    pair = lines[line], lines[line + distance]
                    changed[line] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                    changed[line + distance] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
            return changed

        def tile(row: Any, column: Any) -> list[Any]:
            at = emit.pointer(source, builder.mul(row, source_stride), column)
            lines = [
                emit.load(emit.pointer(at, builder.mul(emit.index(line), source_stride)), PANEL)
                for line in range(PANEL)
            ]
            for distance in (1, 2, 4):
                lines = exchange_lanes(lines, distance)
            at = emit.pointer(target, builder.mul(column, target_stride), row)
            for line in range(PANEL):
                emit.store(lines[line], emit.pointer(at, builder.mul(emit.index(line), target_stride)))
            return []

        def line_of_tiles(row: Any, _: list[Any]) -> list[Any]:
            emit.loop(emit.index(0), columns, PANEL, [], lambda column, _: tile(row, column))
            return []

        emit.loop(emit.index(0), rows, PANEL, [], line_of_tiles)
        return context.get_dummy_value()

    return returns_nothing((source, source_stride, target, origin, target_stride, rows, columns)), generate


@intrinsic
def add_rows(typing_context, target, to, factors, factor, numbers, first, stop, source, origin, columns):  # type: ignore[no-untyped-def]
    """target[to + i] += the sum over entries from `first` to `stop` of factors[factor], factors[factor + 1], ... times
    source[origin + numbers[entry] * columns + i], for i below columns, a whole number of lanes; arrays read as flat."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        target, to, factors, factor, numbers, first, stop, source, origin, columns = pointers(
            context, builder, signature, arguments
        )
        width = lanes(emit.bits // 8)
        target, source = emit.pointer(target, to), emit.pointer(source, origin)
        factors = emit.pointer(factors, builder.sub(factor, first))

        def tile(column: Any, vectors: int) -> None:
            def add_entry(entry: Any, totals: list[Any]) -> list[Any]:
                row = builder.load(emit.pointer(numbers, entry))
                at = emit.pointer(source, builder.mul(row, columns), column)
                scale = emit.load_spread(emit.pointer(factors, entry), width)
                return [
                    emit.add_product(total, scale, emit.load(emit.pointer(at, vector * width), width))
                    for vector, total in enumerate(totals)
                ]

            line = emit.pointer(target, column)
            before = [emit.load(emit.pointer(line, vector * width), width) for vector in range(vectors)]
            for vector, total in enumerate(emit.loop(first, stop, 1, before, add_entry)):
                emit.store(total, emit.pointer(line, vector * width))

        _in_tiles(emit, columns, 8, width, tile)
        return context.get_dummy_value()

    return returns_nothing((target, to, factors, factor, numbers, first, stop, source, origin, columns)), generate
