"""The four inner loops of the Householder kernel, written as vector code for LLVM.

numba's own loops reach a quarter of what these do (docs/spectrum-benchmark.md): the sums must stay in registers over
a whole pass, which loops over arrays do not express. Every array is C-contiguous, real, and all of one type; places
in them are given in elements. `PANEL` reflectors are applied at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import types
from numba.extending import intrinsic

PANEL = 8
_REGISTER_BYTES = 64 if get_host_cpu_features().get("avx512f") else 32
_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


def lanes(itemsize: int) -> int:
    """Numbers of that many bytes in one vector register of this CPU."""
    return _REGISTER_BYTES // itemsize


@intrinsic
def lanes_of(typing_context, array):  # type: ignore[no-untyped-def]
    """Numbers of the array's type in one vector register."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return ir.Constant(_INDEX, lanes(signature.args[0].dtype.bitwidth // 8))

    return types.intp(array), generate


class _Emitter:
    """Vector instructions on one real type."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder = builder
        self.bits = number.bitwidth
        self.number = ir.DoubleType() if self.bits == 64 else ir.FloatType()

    def place(self, pointer: Any, *elements: Any) -> Any:
        for offset in elements:
            pointer = self.builder.gep(pointer, [offset if isinstance(offset, ir.Value) else self.index(offset)])
        return pointer

    @staticmethod
    def index(number: int) -> Any:
        return ir.Constant(_INDEX, number)

    def zeros(self, width: int) -> Any:
        return ir.Constant(ir.VectorType(self.number, width), [0.0] * width)

    def load(self, pointer: Any, width: int) -> Any:
        vector = ir.VectorType(self.number, width).as_pointer()
        return self.builder.load(self.builder.bitcast(pointer, vector), align=self.bits // 8)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=self.bits // 8)

    def spread(self, number: Any, width: int) -> Any:
        """The number in every lane."""
        nothing = ir.Constant(ir.VectorType(self.number, width), ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(_LANE, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_LANE, width), [0] * width))

    def spread_index(self, number: Any, width: int) -> Any:
        nothing = ir.Constant(ir.VectorType(_INDEX, width), ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(_LANE, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_LANE, width), [0] * width))

    def load_spread(self, pointer: Any, width: int) -> Any:
        return self.spread(self.builder.load(pointer, align=self.bits // 8), width)

    def add_product(self, total: Any, left: Any, right: Any) -> Any:
        """total + left * right, fused where the CPU can."""
        product = self.builder.fmul(left, right, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def loop(
        self, first: Any, stop: Any, step: int, carried: Sequence[Any], body: Callable[[Any, list[Any]], Sequence[Any]]
    ) -> list[Any]:
        """for i in range(first, stop, step): carried = body(i, carried). Returns what is carried at the end."""
        builder, before = self.builder, self.builder.block
        inside, after = builder.append_basic_block("inside"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", first, stop), inside, after)
        builder.position_at_end(inside)
        index = builder.phi(_INDEX)
        index.add_incoming(first, before)
        current = []
        for value in carried:
            current.append(builder.phi(value.type))
            current[-1].add_incoming(value, before)
        new = body(index, list(current))
        following = builder.add(index, self.index(step))
        end = builder.block
        index.add_incoming(following, end)
        for phi, value in zip(current, new, strict=True):
            phi.add_incoming(value, end)
        builder.cbranch(builder.icmp_signed("<", following, stop), inside, after)
        builder.position_at_end(after)
        results = []
        for value, changed in zip(carried, new, strict=True):
            results.append(builder.phi(value.type))
            results[-1].add_incoming(value, before)
            results[-1].add_incoming(changed, end)
        return results


def _pointers(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> list[Any]:
    """Arrays become pointers to their first element; numbers stay."""
    return [
        context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def _signature(arrays_and_numbers: Sequence[Any]) -> Any:
    return types.void(*[kind if isinstance(kind, types.Array) else types.intp for kind in arrays_and_numbers])


@intrinsic
def reflect(typing_context, block, place, stride, v, y, panel, rows, columns):  # type: ignore[no-untyped-def]
    """block <- block - Y V^T block, for (rows, columns) of the block from `place` on; V and Y are (rows, PANEL) from
    `panel` on in v and y. The columns are a whole number of lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        block, place, stride, v, y, panel, rows, columns = _pointers(context, builder, signature, arguments)
        width = lanes(emit.bits // 8)
        start, v, y = emit.place(block, place), emit.place(v, panel), emit.place(y, panel)
        zero = emit.index(0)

        def tiles(first: Any, stop: Any, vectors: int) -> None:
            def tile(column: Any, _: list[Any]) -> list[Any]:
                top = emit.place(start, column)

                def load_row(row: Any, factors: Any) -> tuple[Any, list[Any], Any]:
                    at = emit.place(top, builder.mul(row, stride))
                    values = [emit.load(emit.place(at, each * width), width) for each in range(vectors)]
                    return at, values, emit.place(factors, builder.mul(row, emit.index(PANEL)))

                def project_row(row: Any, sums: list[Any]) -> list[Any]:
                    _, values, factors = load_row(row, v)
                    for p in range(PANEL):
                        factor = emit.load_spread(emit.place(factors, p), width)
                        for each in range(vectors):
                            at = p * vectors + each
                            sums[at] = emit.add_product(sums[at], factor, values[each])
                    return sums

                sums = emit.loop(zero, rows, 1, [emit.zeros(width)] * (PANEL * vectors), project_row)
                sums = [builder.fneg(each) for each in sums]

                def subtract_row(row: Any, _: list[Any]) -> list[Any]:
                    at, values, factors = load_row(row, y)
                    for p in range(PANEL):
                        factor = emit.load_spread(emit.place(factors, p), width)
                        for each in range(vectors):
                            values[each] = emit.add_product(values[each], factor, sums[p * vectors + each])
                    for each in range(vectors):
                        emit.store(values[each], emit.place(at, each * width))
                    return []

                emit.loop(zero, rows, 1, [], subtract_row)
                return []

            emit.loop(first, stop, vectors * width, [], tile)

        # Two registers a row as long as there are so many columns, one for what is left.
        paired = builder.mul(builder.sdiv(columns, emit.index(2 * width)), emit.index(2 * width))
        tiles(zero, paired, 2)
        tiles(paired, columns, 1)
        return context.get_dummy_value()

    return _signature((block, place, stride, v, y, panel, rows, columns)), generate


@intrinsic
def project(typing_context, block, stride, v, panel, rows, columns, out):  # type: ignore[no-untyped-def]
    """out (PANEL, columns) <- V^T block, for (rows, columns) of the block; V is (rows, PANEL) from `panel` on in v.
    The columns are a whole number of lanes; out's stride is the block's."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        block, stride, v, panel, rows, columns, out = _pointers(context, builder, signature, arguments)
        width = lanes(emit.bits // 8)
        v = emit.place(v, panel)

        def tile(column: Any, _: list[Any]) -> list[Any]:
            def project_row(row: Any, sums: list[Any]) -> list[Any]:
                values = emit.load(emit.place(block, column, builder.mul(row, stride)), width)
                factors = emit.place(v, builder.mul(row, emit.index(PANEL)))
                return [
                    emit.add_product(sums[p], emit.load_spread(emit.place(factors, p), width), values)
                    for p in range(PANEL)
                ]

            sums = emit.loop(emit.index(0), rows, 1, [emit.zeros(width)] * PANEL, project_row)
            for p in range(PANEL):
                emit.store(sums[p], emit.place(out, column, builder.mul(emit.index(p), stride)))
            return []

        emit.loop(emit.index(0), columns, width, [], tile)
        return context.get_dummy_value()

    return _signature((block, stride, v, panel, rows, columns, out)), generate


@intrinsic
def eliminate(typing_context, v, place, column, rows, largest, compact):  # type: ignore[no-untyped-def]
    """Make the reflector of one column x of the panel (rows, PANEL) from `place` on in v, whose first row is the pivot,
    apply it to the columns on its right, leave it in its own column, and add its row to the compact factor T^T.
    `largest` is the pivot's size. Returns |r|.

    With u = x / largest: v = (u - beta e) / d, beta = -sign(u_1) |u|, d = u_1 - beta, tau = -d / beta. One pass of
    products gives |u|, v's products with the columns on the left (for T) and on the right (to update them).
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        v, place, column, rows, largest, compact = _pointers(context, builder, signature, arguments)
        top = emit.place(v, place)
        inverse = builder.fdiv(ir.Constant(emit.number, 1.0), largest)
        scale = emit.spread(inverse, PANEL)
        unroll = 4  # as many sums as an addition takes cycles

        def row_and_u(row: Any) -> tuple[Any, Any, Any]:
            at = emit.place(top, builder.mul(row, emit.index(PANEL)))
            return at, emit.load(at, PANEL), builder.fmul(emit.load_spread(emit.place(at, column), PANEL), scale)

        def add_row(row: Any, total: Any) -> Any:
            _, values, u = row_and_u(row)
            return emit.add_product(total, u, values)

        def add_rows(row: Any, totals: list[Any]) -> list[Any]:
            return [add_row(builder.add(row, emit.index(each)), totals[each]) for each in range(unroll)]

        even = builder.mul(builder.sdiv(rows, emit.index(unroll)), emit.index(unroll))
        totals = emit.loop(emit.index(0), even, unroll, [emit.zeros(PANEL)] * unroll, add_rows)
        (first,) = emit.loop(even, rows, 1, totals[:1], lambda row, total: [add_row(row, total[0])])
        products = builder.fadd(builder.fadd(first, totals[1]), builder.fadd(totals[2], totals[3]))

        lane = ir.Constant(ir.VectorType(_INDEX, PANEL), list(range(PANEL)))
        here = emit.spread_index(column, PANEL)
        own, right = builder.icmp_signed("==", lane, here), builder.icmp_signed(">", lane, here)
        zeros, ones = emit.zeros(PANEL), emit.spread(ir.Constant(emit.number, 1.0), PANEL)
        pivot_row = emit.load(top, PANEL)
        head = builder.fmul(builder.load(emit.place(top, column)), inverse)
        square = builder.fmul(builder.extract_element(products, builder.trunc(column, _LANE)), inverse)
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
        holder = emit.place(compact, PANEL * PANEL)
        emit.store(along, holder)

        def add_factor(row: Any, total: list[Any]) -> list[Any]:
            line = emit.load(emit.place(compact, builder.mul(row, emit.index(PANEL))), PANEL)
            return [emit.add_product(total[0], emit.load_spread(emit.place(holder, row), PANEL), line)]

        (total,) = emit.loop(emit.index(0), column, 1, [zeros], add_factor)
        line = builder.select(own, emit.spread(tau, PANEL), builder.fmul(total, minus_tau))
        emit.store(line, emit.place(compact, builder.mul(column, emit.index(PANEL))))
        return builder.fmul(largest, norm)

    arguments = (v, place, column, rows)
    return v.dtype(*_signature(arguments).args, v.dtype, compact), generate


@intrinsic
def exchange(typing_context, array, first, second, count):  # type: ignore[no-untyped-def]
    """Exchange the `count` elements from `first` on with those from `second` on; a whole number of PANELs."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        array, first, second, count = _pointers(context, builder, signature, arguments)

        def swap(index: Any, _: list[Any]) -> list[Any]:
            one, other = emit.place(array, first, index), emit.place(array, second, index)
            kept, moved = emit.load(one, PANEL), emit.load(other, PANEL)
            emit.store(moved, one)
            emit.store(kept, other)
            return []

        emit.loop(emit.index(0), count, PANEL, [], swap)
        return context.get_dummy_value()

    return _signature((array, first, second, count)), generate


@intrinsic
def combine(typing_context, v, y, place, rows, factors):  # type: ignore[no-untyped-def]
    """Y <- V factors, for the (rows, PANEL) from `place` on in v and y; factors (PANEL, PANEL)."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        v, y, place, rows, factors = _pointers(context, builder, signature, arguments)
        lines = [emit.load(emit.place(factors, p * PANEL), PANEL) for p in range(PANEL)]

        def change(row: Any, _: list[Any]) -> list[Any]:
            offset = builder.add(place, builder.mul(row, emit.index(PANEL)))
            at = emit.place(v, offset)
            total = emit.zeros(PANEL)
            for p in range(PANEL):
                total = emit.add_product(total, emit.load_spread(emit.place(at, p), PANEL), lines[p])
            emit.store(total, emit.place(y, offset))
            return []

        emit.loop(emit.index(0), rows, 1, [], change)
        return context.get_dummy_value()

    return _signature((v, y, place, rows, factors)), generate


@intrinsic
def accumulate(typing_context, target, to, source, origin, factors, scale, count):  # type: ignore[no-untyped-def]
    """target[to + i] += factors[scale + i] * source[origin + i] for i below count, in arrays read as flat."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        target, to, source, origin, factors, scale, count = _pointers(context, builder, signature, arguments)
        target, source, factors = emit.place(target, to), emit.place(source, origin), emit.place(factors, scale)

        def add(width: int) -> Callable[[Any, list[Any]], Sequence[Any]]:
            def change(index: Any, _: list[Any]) -> list[Any]:
                at = emit.place(target, index)
                left, right = (emit.load(emit.place(each, index), width) for each in (factors, source))
                emit.store(emit.add_product(emit.load(at, width), left, right), at)
                return []

            return change

        width = lanes(emit.bits // 8)
        whole = builder.mul(builder.sdiv(count, emit.index(width)), emit.index(width))
        emit.loop(emit.index(0), whole, width, [], add(width))
        emit.loop(whole, count, 1, [], add(1))
        return context.get_dummy_value()

    return _signature((target, to, source, origin, factors, scale, count)), generate


@intrinsic
def transpose(typing_context, source, source_stride, target, place, target_stride, rows, columns):  # type: ignore[no-untyped-def]
    """target[j, i] <- source[i, j] for i below rows and j below columns, from `place` on in the target; both numbers
    are rounded up to whole PANELs, for which there must be room."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        emit = _Emitter(builder, signature.args[0].dtype)
        source, source_stride, target, place, target_stride, rows, columns = _pointers(
            context, builder, signature, arguments
        )
        target = emit.place(target, place)

        def exchange_lanes(lines: list[Any], distance: int) -> list[Any]:
            """Of each pair of lines `distance` apart, the off-diagonal squares of that size change places."""
            kind = ir.VectorType(_LANE, PANEL)
            upper = [lane if not lane & distance else PANEL + lane - distance for lane in range(PANEL)]
            lower = [lane + distance if not lane & distance else PANEL + lane for lane in range(PANEL)]
            changed = list(lines)
            for each in range(PANEL):
                if not each & distance:
                    pair = lines[each], lines[each + distance]
                    changed[each] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                    changed[each + distance] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
            return changed

        def tile(row: Any, column: Any) -> list[Any]:
            at = emit.place(source, builder.mul(row, source_stride), column)
            lines = [
                emit.load(emit.place(at, builder.mul(emit.index(each), source_stride)), PANEL) for each in range(PANEL)
            ]
            for distance in (1, 2, 4):
                lines = exchange_lanes(lines, distance)
            at = emit.place(target, builder.mul(column, target_stride), row)
            for each in range(PANEL):
                emit.store(lines[each], emit.place(at, builder.mul(emit.index(each), target_stride)))
            return []

        def line_of_tiles(row: Any, _: list[Any]) -> list[Any]:
            emit.loop(emit.index(0), columns, PANEL, [], lambda column, _: tile(row, column))
            return []

        emit.loop(emit.index(0), rows, PANEL, [], line_of_tiles)
        return context.get_dummy_value()

    return _signature((source, source_stride, target, place, target_stride, rows, columns)), generate
