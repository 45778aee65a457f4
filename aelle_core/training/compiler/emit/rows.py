"""Rows of arrays: copied, cleared, and found by the codes of one-hot vectors."""

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from aelle_core.foundation.vector_instructions import INDEX, Emitter

_BYTES = ir.IntType(8).as_pointer()
_CODES = ir.IntType(32).as_pointer()
Row = tuple[Any, Any, Any]
"""An array's first element, its stride over rows, and the row's number."""


def copy_row(emit: Emitter, source: Row, target: Row, width: int) -> None:
    """target = source."""
    builder = emit.builder
    pair = [builder.bitcast(_start(emit, row), _BYTES) for row in (target, source)]
    intrinsic = builder.module.declare_intrinsic("llvm.memcpy", [_BYTES, _BYTES, INDEX])
    builder.call(intrinsic, [*pair, emit.index(4 * width), ir.Constant(ir.IntType(1), 0)])


def add_row(emit: Emitter, source: Row, target: Row, width: int) -> None:
    """target += source."""
    pointers = [_start(emit, row) for row in (target, source)]

    def add(at: Any, count: int, _: list[Any]) -> list[Any]:
        values = (emit.load(emit.pointer(pointer, at), count) for pointer in pointers)
        emit.store(emit.builder.fadd(*values), emit.pointer(pointers[0], at))
        return []

    emit.over_columns(width, [], add)


def zero_rows(emit: Emitter, start: Any, rows: Any, width: int) -> None:
    """Rows that lie one after the other become zero."""
    builder = emit.builder
    intrinsic = builder.module.declare_intrinsic("llvm.memset", [_BYTES, INDEX])
    size = builder.mul(rows, emit.index(4 * width))
    builder.call(
        intrinsic, [builder.bitcast(start, _BYTES), ir.Constant(ir.IntType(8), 0), size, ir.Constant(ir.IntType(1), 0)]
    )


def code_at(emit: Emitter, codes: Any, by_row: Any, row: Any) -> Any:
    """A row's whole number of 32 bits, at least 0, as an index."""
    builder = emit.builder
    return builder.zext(builder.load(emit.pointer(builder.bitcast(codes, _CODES), builder.mul(row, by_row))), INDEX)


def numbers(builder: Any, vector: Any) -> Iterator[Any]:
    """Yield the numbers of a vector one by one."""
    return (builder.extract_element(vector, ir.Constant(ir.IntType(32), at)) for at in range(vector.type.count))


def _start(emit: Emitter, row: Row) -> Any:
    base, stride, number = row
    return emit.pointer(base, emit.builder.mul(number, stride))
