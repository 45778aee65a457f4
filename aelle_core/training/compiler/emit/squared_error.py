"""The mean squared error of rows of outputs, with its adjoint."""

from functools import reduce
from typing import Any

from llvmlite import ir

from aelle_core.foundation.vector_instructions import Emitter
from aelle_core.training.compiler.emit.rows import numbers


def emit_squared_error(
    emit: Emitter,
    values: Any,
    bias: Any,
    targets: Any,
    by_row: Any,
    share: Any,
    share_by_row: Any,
    total: Any,
    rows: Any,
    outputs: int,
) -> None:
    """total += share * loss for each of the rows of `values` (rows, outputs), which become the adjoints of that sum.

    loss = sum over k of d_k^2 / outputs with d = value + bias - target; its adjoint is share * 2 d / outputs. Rows of
    `targets` (rows, outputs) lie `by_row` apart, and shares `share_by_row`.
    """
    builder = emit.builder

    def row(index: Any, losses: list[Any]) -> list[Any]:
        own = emit.pointer(values, builder.mul(index, emit.index(outputs)))
        wanted = emit.pointer(targets, builder.mul(index, by_row))
        weight = builder.load(emit.pointer(share, builder.mul(index, share_by_row)))
        share_of_output = builder.fmul(weight, ir.Constant(emit.number, 1 / outputs))
        twice = builder.fadd(share_of_output, share_of_output)

        def compare(at: Any, width: int, sums: list[Any]) -> list[Any]:
            value = builder.fadd(emit.load(emit.pointer(own, at), width), emit.load(emit.pointer(bias, at), width))
            error = builder.fsub(value, emit.load(emit.pointer(wanted, at), width))
            emit.store(builder.fmul(error, emit.spread(twice, width)), emit.pointer(own, at))
            return [reduce(builder.fadd, numbers(builder, builder.fmul(error, error)), sums[0])]

        (squares,) = emit.over_columns(outputs, [ir.Constant(emit.number, 0.0)], compare)
        return [builder.fadd(losses[0], builder.fmul(share_of_output, squares))]

    (loss,) = emit.loop(emit.index(0), rows, 1, [builder.load(total)], row)
    builder.store(loss, total)
