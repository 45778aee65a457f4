"""Small matrix products as vector loops, for operands that lie in the cache."""

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from aelle_core.vector_code import REGISTERS, Emitter, lanes

_ROWS = 4  # rows whose sums are kept in registers together
_VECTORS = 4 if REGISTERS >= 32 else 2  # vectors of each of those rows


def emit_product(
    emit: Emitter, left: Any, left_stride: Any, right: Any, result: Any, result_stride: Any, rows: Any, sizes: Any
) -> None:
    """result (rows, columns) = left (rows, inner) right (inner, columns); `sizes` are (inner, columns).

    Strides are those over rows, in elements; `right` has its rows one after the other.
    """
    inner, columns = sizes

    def block(row: Any, count: int) -> None:
        lefts = [emit.place(left, emit.builder.mul(_plus(emit, row, each), left_stride)) for each in range(count)]
        for first, widths in _blocks(columns):

            def add(index: Any, sums: list[Any], first: int = first, widths: list[int] = widths) -> list[Any]:
                start = emit.place(right, emit.builder.mul(index, emit.index(columns)), first)
                values = _load_row(emit, start, widths)
                total = iter(sums)
                found = []
                for pointer in lefts:
                    number = emit.builder.load(emit.place(pointer, index), align=4)
                    found += [emit.add_product(next(total), emit.spread(number, v.type.count), v) for v in values]
                return found

            zeros = [emit.zeros(width) for _ in range(count) for width in widths]
            sums = iter(emit.loop(emit.index(0), emit.index(inner), 1, zeros, add))
            for each in range(count):
                start = emit.place(result, emit.builder.mul(_plus(emit, row, each), result_stride), first)
                _store_row(emit, start, widths, sums)

    _row_blocks(emit, rows, block)


def emit_gradient(
    emit: Emitter, left: Any, left_stride: Any, right: Any, right_stride: Any, result: Any, rows: Any, sizes: Any
) -> None:
    """result (inner, columns) += left (rows, inner)^T right (rows, columns); `result` has its rows one after the other."""
    inner, columns = sizes

    def block(row: Any, count: int) -> None:
        for first, widths in _blocks(columns):
            starts = [
                emit.place(result, emit.builder.mul(_plus(emit, row, each), emit.index(columns)), first)
                for each in range(count)
            ]

            def add(index: Any, sums: list[Any], first: int = first, widths: list[int] = widths) -> list[Any]:
                values = _load_row(emit, emit.place(right, emit.builder.mul(index, right_stride), first), widths)
                at = emit.place(left, emit.builder.mul(index, left_stride), row)
                total = iter(sums)
                found = []
                for each in range(count):
                    number = emit.builder.load(emit.place(at, each), align=4)
                    found += [emit.add_product(next(total), emit.spread(number, v.type.count), v) for v in values]
                return found

            before = [value for start in starts for value in _load_row(emit, start, widths)]
            sums = iter(emit.loop(emit.index(0), rows, 1, before, add))
            for start in starts:
                _store_row(emit, start, widths, sums)

    _row_blocks(emit, emit.index(inner), block)


def _row_blocks(emit: Emitter, rows: Any, block: Any) -> None:
    """block(first row, count) for all rows, several at a time, then one by one."""
    builder = emit.builder
    whole = builder.mul(builder.sdiv(rows, emit.index(_ROWS)), emit.index(_ROWS))
    for first, stop, step in ((emit.index(0), whole, _ROWS), (whole, rows, 1)):

        def body(row: Any, _: list[Any], step: int = step) -> list[Any]:
            block(row, step)
            return []

        emit.loop(first, stop, step, [], body)


def _blocks(columns: int) -> Iterator[tuple[int, list[int]]]:
    """Where blocks of columns start, and the widths of their vectors: the last one takes what is left."""
    width = lanes(4)
    for first in range(0, columns, width * _VECTORS):
        left = min(columns - first, width * _VECTORS)
        widths = [width] * (left // width)
        yield first, widths + ([left % width] if left % width else [])


def _load_row(emit: Emitter, start: Any, widths: list[int]) -> list[Any]:
    return [emit.load(emit.place(start, lanes(4) * at), width) for at, width in enumerate(widths)]


def _store_row(emit: Emitter, start: Any, widths: list[int], values: Iterator[Any]) -> None:
    for at, _ in enumerate(widths):
        emit.store(next(values), emit.place(start, lanes(4) * at))


def _plus(emit: Emitter, index: Any, offset: int) -> Any:
    return emit.builder.add(index, emit.index(offset)) if offset else index
