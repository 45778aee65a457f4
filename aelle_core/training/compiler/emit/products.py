"""Small matrix products as vector loops, for operands that lie in the cache."""

from collections.abc import Callable, Iterator
from typing import Any

from aelle_core.foundation.vector_instructions import REGISTERS, Emitter, lanes

Sizes = tuple[int, int]
_ROWS = 4  # rows whose sums are kept in registers together
_VECTORS = 4 if REGISTERS >= 32 else 2  # vectors of each of those rows


def emit_product(
    emit: Emitter, left: Any, left_stride: Any, right: Any, result: Any, result_stride: Any, rows: Any, sizes: Sizes
) -> None:
    """result (rows, columns) = left (rows, inner) right (inner, columns); `sizes` are (inner, columns).

    Strides are those over rows, in elements; `right` has its rows one after the other.
    """
    inner, columns = sizes

    def block(row: Any, count: int) -> None:
        lefts = [emit.pointer(left, emit.builder.mul(_plus(emit, row, ahead), left_stride)) for ahead in range(count)]

        def vectors(first: Any, widths: list[int]) -> None:
            def add(index: Any, sums: list[Any]) -> list[Any]:
                start = emit.pointer(right, emit.builder.mul(index, emit.index(columns)), first)
                return _add_products(
                    emit, [emit.pointer(start_of_row, index) for start_of_row in lefts], start, widths, sums
                )

            zeros = [emit.zeros(width) for _ in range(count) for width in widths]
            sums = iter(emit.loop(emit.index(0), emit.index(inner), 1, zeros, add))
            for ahead in range(count):
                start = emit.pointer(result, emit.builder.mul(_plus(emit, row, ahead), result_stride), first)
                _store_row(emit, start, widths, sums)

        _column_blocks(emit, columns, vectors)

    _row_blocks(emit, rows, block)


def emit_gradient(
    emit: Emitter, left: Any, left_stride: Any, right: Any, right_stride: Any, result: Any, rows: Any, sizes: Sizes
) -> None:
    """result (inner, columns) += left (rows, inner)^T right (rows, columns); `sizes` are (inner, columns).

    Strides are those over rows, in elements; `result` has its rows one after the other.
    """
    inner, columns = sizes

    def block(row: Any, count: int) -> None:
        def vectors(first: Any, widths: list[int]) -> None:
            starts = [
                emit.pointer(result, emit.builder.mul(_plus(emit, row, ahead), emit.index(columns)), first)
                for ahead in range(count)
            ]

            def add(index: Any, sums: list[Any]) -> list[Any]:
                start = emit.pointer(right, emit.builder.mul(index, right_stride), first)
                numbers = emit.pointer(left, emit.builder.mul(index, left_stride), row)
                return _add_products(
                    emit, [emit.pointer(numbers, ahead) for ahead in range(count)], start, widths, sums
                )

            before = [value for start in starts for value in _load_row(emit, start, widths)]
            sums = iter(emit.loop(emit.index(0), rows, 1, before, add))
            for start in starts:
                _store_row(emit, start, widths, sums)

        _column_blocks(emit, columns, vectors)

    _row_blocks(emit, emit.index(inner), block)


def _add_products(emit: Emitter, numbers: list[Any], start: Any, widths: list[int], sums: list[Any]) -> list[Any]:
    """Each of the numbers, times the row at `start`, is added to sums of its own."""
    values = _load_row(emit, start, widths)
    total = iter(sums)
    added = []
    for pointer in numbers:
        number = emit.builder.load(pointer, align=4)
        added += [emit.add_product(next(total), emit.spread(number, value.type.count), value) for value in values]
    return added


def _row_blocks(emit: Emitter, rows: Any, block: Callable[[Any, int], None]) -> None:
    """block(first row, count) for all rows, several at a time, then one by one."""
    builder = emit.builder
    whole = builder.mul(builder.sdiv(rows, emit.index(_ROWS)), emit.index(_ROWS))
    for first, stop, step in ((emit.index(0), whole, _ROWS), (whole, rows, 1)):

        def body(row: Any, _: list[Any], step: int = step) -> list[Any]:
            block(row, step)
            return []

        emit.loop(first, stop, step, [], body)


def _column_blocks(emit: Emitter, columns: int, vectors: Callable[[Any, list[int]], None]) -> None:
    """vectors(first column, widths of the vectors from there on) for all columns: many at a time, then what is left."""
    width = lanes(4)
    block = width * _VECTORS
    whole = columns // block * block

    def body(first: Any, _: list[Any]) -> list[Any]:
        vectors(first, [width] * _VECTORS)
        return []

    if whole:
        emit.loop(emit.index(0), emit.index(whole), block, [], body)
    if left := columns - whole:
        vectors(emit.index(whole), emit.widths(left))


def _load_row(emit: Emitter, start: Any, widths: list[int]) -> list[Any]:
    return [emit.load(emit.pointer(start, lanes(4) * at), width) for at, width in enumerate(widths)]


def _store_row(emit: Emitter, start: Any, widths: list[int], values: Iterator[Any]) -> None:
    for at, _ in enumerate(widths):
        emit.store(next(values), emit.pointer(start, lanes(4) * at))


def _plus(emit: Emitter, index: Any, offset: int) -> Any:
    return emit.builder.add(index, emit.index(offset)) if offset else index
