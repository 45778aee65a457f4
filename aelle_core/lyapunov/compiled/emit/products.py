"""Products and sums of many terms in a compiled step."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from aelle_core.foundation.vector_instructions import Emitter
from aelle_core.lyapunov.compiled.emit.places import Places
from aelle_core.lyapunov.compiled.emit.rules import DOUBLE, Partial, Real
from aelle_core.lyapunov.compiled.emit.writer import Writer
from aelle_core.lyapunov.compiled.graph import Operation


def sum_terms(writer: Writer, operation: Operation) -> None:
    """Write sums over terms, of products where there are two operands."""
    noise = writer.next_noise(operation)
    emit, builder = writer.emit, writer.builder
    places = [Places(writer.module, numbers) for numbers in operation.operands]
    moving = [operation.moves and bool((writer.row_of[numbers] >= 0).any()) for numbers in operation.operands]
    lines = [Places(writer.module, writer.rows_of(numbers)) for numbers in operation.operands]
    terms = operation.operands[0].shape[1]

    def result(index: Any) -> None:
        def values_at(term: Any) -> list[Real]:
            return [writer.value(operand.at(builder, index, term)) for operand in places]

        def add(term: Any, total: list[Any]) -> list[Any]:
            values = values_at(term)
            summand = values[0] if len(values) == 1 else values[0] * values[1]
            return [builder.fadd(total[0], summand.value)]

        def rows_at(term: Any) -> list[tuple[Any, Partial]]:
            values = values_at(term)
            partials: list[Partial] = ["one"] if len(values) == 1 else [values[1], values[0]]
            kept = zip(lines, partials, moving, strict=True)
            return [(writer.row(line.at(builder, index, term)), partial) for line, partial, moves in kept if moves]

        zero = ir.Constant(DOUBLE, 0.0)
        (total,) = emit.loop(emit.index(0), emit.index(terms), 1, [zero], add)
        factor = None if noise is None else builder.load(noise(index))
        writer.store(operation, index, Real(builder, total), factor)
        if operation.moves:
            writer.combine(writer.out(operation, index), terms, rows_at, factor)

    writer.each(operation.count, result)


def planned_linear(writer: Writer, operation: Operation) -> Callable[[], None] | None:
    """Lay a constant matrix out for its product with one vector, and return what writes that; None where the operation
    is no such product."""
    for vector, matrix in (operation.operands, operation.operands[::-1]):
        constant = np.isin(matrix, [0, *writer.graph.constants]).all()
        if constant and bool((vector == vector[0]).all()):
            break
    else:
        return None
    inputs, at = vector[0], writer.values
    count = len(matrix)
    writer.turned[at] = matrix.T.flatten()
    writer.values += matrix.size
    chosen = np.isin(inputs, writer.graph.state).all()
    kept: int | None = None  # rows that are the same at every step
    if operation.moves and chosen:
        kept = int(writer.row_of[operation.first])
        if writer.disturbed:
            kept = writer.count
            writer.count += count
        writer.before.append(lambda: _lay_rows(writer, kept, at, inputs - writer.graph.state[0], count))

    def emitted() -> None:
        _multiply(writer, operation, inputs, at, kept)

    return emitted


def _lay_rows(writer: Writer, kept: int | None, at: int, columns: np.ndarray, count: int) -> None:
    """Rows `kept`, ... <- the matrix's rows, its entries in the columns of their inputs."""
    assert kept is not None
    places = Places(writer.module, columns)
    builder, emit = writer.builder, writer.emit

    def line(index: Any) -> None:
        offset = emit.pointer(writer.d, kept * writer.width)
        by = index * writer.width if isinstance(index, int) else builder.mul(index, emit.index(writer.width))
        row = emit.pointer(offset, by)
        writer.combine(row, 1, lambda _: [], None)

        def entry(term: Any) -> None:
            source = term * count if isinstance(term, int) else builder.mul(term, emit.index(count))
            value = builder.load(emit.pointer(writer.v, at, source, index))
            target = emit.pointer(row, places.at(builder, term))
            builder.store(builder.fadd(builder.load(target), value), target)

        writer.each(len(columns), entry)

    writer.each(count, line)


def _multiply(writer: Writer, operation: Operation, inputs: np.ndarray, at: int, kept: int | None) -> None:
    noise = writer.next_noise(operation)
    emit, builder = writer.emit, writer.builder
    count = operation.count
    places, lines = Places(writer.module, inputs), Places(writer.module, writer.rows_of(inputs))

    def values(first: Any, width: int, _: list[Any]) -> list[Any]:
        def add(term: Any, total: list[Any]) -> list[Any]:
            line = emit.pointer(writer.v, at, builder.mul(term, emit.index(count)), first)
            factor = emit.spread(writer.value(places.at(builder, term)).value, width)
            return [builder.fadd(total[0], builder.fmul(factor, emit.load(line, width)))]

        (total,) = emit.loop(emit.index(0), emit.index(len(inputs)), 1, [emit.zeros(width)], add)
        if noise is not None:
            total = builder.fmul(total, emit.load(noise(first), width))
        emit.store(total, emit.pointer(writer.v, operation.first, first))
        return []

    emit.over_columns(count, [], values)
    if not operation.moves or (kept is not None and not writer.disturbed):
        return

    def line(index: Any) -> None:
        factor = None if noise is None else builder.load(noise(index))
        if kept is not None:
            by = index * writer.width if isinstance(index, int) else builder.mul(index, emit.index(writer.width))
            row = emit.pointer(writer.d, kept * writer.width, by)
            writer.combine(writer.out(operation, index), 1, lambda _: [(row, "one")], factor)
            return

        def rows_at(term: Any) -> list[tuple[Any, Partial]]:
            entry = writer.value(_entry(builder, emit, at, term, count, index))
            return [(writer.row(lines.at(builder, term)), entry)]

        writer.combine(writer.out(operation, index), len(inputs), rows_at, factor)

    writer.each(count, line)


def _entry(builder: Any, emit: Emitter, at: int, term: Any, count: int, index: Any) -> Any:
    """At + term * count + index, as a value of the function."""
    term_value, index_value = (emit.index(number) if isinstance(number, int) else number for number in (term, index))
    return builder.add(emit.index(at), builder.add(builder.mul(term_value, emit.index(count)), index_value))
