"""Inner loops that make reflectors, written as vector code for LLVM: one panel of columns is one register wide."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from aelle_core.lyapunov.kernels.householder.emitter import INDEX, LANE, PANEL, Emitter, pointers, returns_nothing


@intrinsic
def eliminate(typing_context, v, origin, column, rows, largest, compact):  # type: ignore[no-untyped-def]
    """Make the reflector of one column x of the panel (rows, PANEL) from `origin` on in v, whose first row is the
    pivot, apply it to the columns on its right, leave it in its own column, and add its row to the compact factor T^T.
    `largest` is the pivot's size. Returns |r|.

    With u = x / largest: v = (u - beta e) / d, beta = -sign(u_1) |u|, d = u_1 - beta, tau = -d / beta. One pass of
    products gives |u|, v's products with the columns on the left (for T) and on the right (to update them).
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        v, origin, column, rows, largest, compact = pointers(context, builder, signature, arguments)
        top = emit.pointer(v, origin)
        inverse = builder.fdiv(ir.Constant(emit.number, 1.0), largest)
        scale = emit.spread(inverse, PANEL)
        unroll = 4  # as many sums as an addition takes cycles

        def row_and_u(row: Any) -> tuple[Any, Any, Any]:
            at = emit.pointer(top, builder.mul(row, emit.index(PANEL)))
            return at, emit.load(at, PANEL), builder.fmul(emit.load_spread(emit.pointer(at, column), PANEL), scale)

        def add_row(row: Any, total: Any) -> Any:
            _, values, u = row_and_u(row)
            return emit.add_product(total, u, values)

        def add_rows(row: Any, totals: list[Any]) -> list[Any]:
            return [add_row(builder.add(row, emit.index(ahead)), totals[ahead]) for ahead in range(unroll)]

        even = builder.mul(builder.sdiv(rows, emit.index(unroll)), emit.index(unroll))
        totals = emit.loop(emit.index(0), even, unroll, [emit.zeros(PANEL)] * unroll, add_rows)
        (first,) = emit.loop(even, rows, 1, totals[:1], lambda row, total: [add_row(row, total[0])])
        products = builder.fadd(builder.fadd(first, totals[1]), builder.fadd(totals[2], totals[3]))

        lane = ir.Constant(ir.VectorType(INDEX, PANEL), list(range(PANEL)))
        here = emit.spread(column, PANEL)
        own, right = builder.icmp_signed("==", lane, here), builder.icmp_signed(">", lane, here)
        zeros, ones = emit.zeros(PANEL), emit.spread(ir.Constant(emit.number, 1.0), PANEL)
        pivot_row = emit.load(top, PANEL)
        head = builder.fmul(builder.load(emit.pointer(top, column)), inverse)
        square = builder.fmul(builder.extract_element(products, builder.trunc(column, LANE)), inverse)
        norm = builder.call(builder.module.declare_intrinsic("llvm.sqrt", [emit.number]), [square])
        positive = builder.fcmp_ordered(">", head, ir.Constant(emit.number, 0.0))
        beta = builder.select(positive, builder.fneg(norm), norm)
        d = builder.fsub(head, beta)
        tau = builder.fneg(builder.fdiv(d, beta))
        one_over_d = emit.spread(builder.fdiv(ir.Constant(emit.number, 1.0), d), PANEL)
        beta_all = emit.spread(builder.fneg(beta), PANEL)
        along = builder.fmul(emit.add_product(products, beta_all, pivot_row), one_over_d)  # v . each column

        minus_tau = emit.spread(builder.fneg(tau), PANEL)
        change = builder.fmul(builder.fmul(along, minus_tau), one_over_d)
        gain = builder.select(own, one_over_d, builder.select(right, change, zeros))
        keep = builder.select(own, zeros, ones)
        emit.store(builder.select(own, ones, builder.select(right, zeros, pivot_row)), top)

        def update_row(row: Any, _: list[Any]) -> list[Any]:
            at, values, u = row_and_u(row)
            emit.store(emit.add_product(builder.fmul(values, keep), u, gain), at)
            return []

        emit.loop(emit.index(1), rows, 1, [], update_row)

        # T[:p, p] = -tau T[:p, :p] (V^T v), a combination of the rows of T^T that are there.
        holder = emit.pointer(compact, PANEL * PANEL)
        emit.store(along, holder)

        def add_factor(row: Any, total: list[Any]) -> list[Any]:
            line = emit.load(emit.pointer(compact, builder.mul(row, emit.index(PANEL))), PANEL)
            return [emit.add_product(total[0], emit.load_spread(emit.pointer(holder, row), PANEL), line)]

        (total,) = emit.loop(emit.index(0), column, 1, [zeros], add_factor)
        line = builder.select(own, emit.spread(tau, PANEL), builder.fmul(total, minus_tau))
        emit.store(line, emit.pointer(compact, builder.mul(column, emit.index(PANEL))))
        return builder.fmul(largest, norm)

    return v.dtype(v, types.intp, types.intp, types.intp, v.dtype, compact), generate


@intrinsic
def combine(typing_context, v, y, origin, rows, factors):  # type: ignore[no-untyped-def]
    """Y <- V factors, for the (rows, PANEL) from `origin` on in v and y; factors (PANEL, PANEL)."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = Emitter(builder, signature.args[0].dtype)
        v, y, origin, rows, factors = pointers(context, builder, signature, arguments)
        lines = [emit.load(emit.pointer(factors, p * PANEL), PANEL) for p in range(PANEL)]

        def change(row: Any, _: list[Any]) -> list[Any]:
            offset = builder.add(origin, builder.mul(row, emit.index(PANEL)))
            at = emit.pointer(v, offset)
            total = emit.zeros(PANEL)
            for p in range(PANEL):
                total = emit.add_product(total, emit.load_spread(emit.pointer(at, p), PANEL), lines[p])
            emit.store(total, emit.pointer(y, offset))
            return []

        emit.loop(emit.index(0), rows, 1, [], change)
        return context.get_dummy_value()

    return returns_nothing((v, y, origin, rows, factors)), generate
