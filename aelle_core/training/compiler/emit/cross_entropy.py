"""The softmax's cross-entropy of rows of class scores, with its adjoint."""

from functools import reduce
from typing import Any

from llvmlite import ir

from aelle_core.foundation.vector_instructions import Emitter
from aelle_core.training.compiler.emit.elementary_functions import Functions
from aelle_core.training.compiler.emit.rows import code_at, numbers


def emit_cross_entropy(
    emit: Emitter,
    scores: Any,
    bias: Any,
    targets: Any,
    by_row: Any,
    share: Any,
    share_by_row: Any,
    total: Any,
    rows: Any,
    outputs: int,
) -> None:
    """total += share * loss for each of the rows of `scores` (rows, outputs), which become the adjoints of that sum.

    loss = log(sum over k of e^(s_k - m)) + m - s_target, with m the largest of the s = score + bias; its adjoint is
    share * (e^(s_k - m) / sum - (1 where k is the target, else 0)). `targets` are whole numbers,
    `by_row` apart; shares lie `share_by_row` apart.
    """
    builder = emit.builder

    def row(index: Any, losses: list[Any]) -> list[Any]:
        own = emit.pointer(scores, builder.mul(index, emit.index(outputs)))
        chosen = emit.pointer(own, code_at(emit, targets, by_row, index))
        weight = builder.load(emit.pointer(share, builder.mul(index, share_by_row)))

        def add_bias(at: Any, width: int, largest: list[Any]) -> list[Any]:
            score = builder.fadd(emit.load(emit.pointer(own, at), width), emit.load(emit.pointer(bias, at), width))
            emit.store(score, emit.pointer(own, at))
            return [reduce(lambda first, second: _larger(builder, first, second), numbers(builder, score), largest[0])]

        (largest,) = emit.over_columns(outputs, [ir.Constant(emit.number, float("-inf"))], add_bias)
        wanted = builder.load(chosen)

        def exponentiate(at: Any, width: int, sums: list[Any]) -> list[Any]:
            less = builder.fsub(emit.load(emit.pointer(own, at), width), emit.spread(largest, width))
            power = Functions(builder, width).exp(less)
            emit.store(power, emit.pointer(own, at))
            return [reduce(builder.fadd, numbers(builder, power), sums[0])]

        (powers,) = emit.over_columns(outputs, [ir.Constant(emit.number, 0.0)], exponentiate)
        factor = builder.fdiv(weight, powers)

        def scale(at: Any, width: int, _: list[Any]) -> list[Any]:
            power = emit.load(emit.pointer(own, at), width)
            emit.store(builder.fmul(power, emit.spread(factor, width)), emit.pointer(own, at))
            return []

        emit.over_columns(outputs, [], scale)
        builder.store(builder.fsub(builder.load(chosen), weight), chosen)
        logarithm = builder.call(builder.module.declare_intrinsic("llvm.log", [emit.number]), [powers])
        loss = builder.fsub(builder.fadd(logarithm, largest), wanted)
        return [builder.fadd(losses[0], builder.fmul(weight, loss))]

    (summed,) = emit.loop(emit.index(0), rows, 1, [builder.load(total)], row)
    builder.store(summed, total)


def _larger(builder: Any, first: Any, second: Any) -> Any:
    """No number only where the second is none: what is none among the scores makes the sum none all the same."""
    return builder.select(builder.fcmp_ordered(">", first, second), first, second)
