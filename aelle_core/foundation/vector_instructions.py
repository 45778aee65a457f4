"""Vector instructions for LLVM, of which the compiled inner loops are made."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features

INDEX = ir.IntType(64)
LANE = ir.IntType(32)
_WIDE = bool(get_host_cpu_features().get("avx512f"))
_REGISTER_BYTES = 64 if _WIDE else 32
REGISTERS = 32 if _WIDE else 16
"""How many vector registers there are."""


def lanes(itemsize: int) -> int:
    """Numbers of that many bytes in one vector register of this CPU."""
    return _REGISTER_BYTES // itemsize


class Emitter:
    """Vector instructions on one real type."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder = builder
        self.bits = number.bitwidth
        self.number = ir.DoubleType() if self.bits == 64 else ir.FloatType()

    def pointer(self, pointer: Any, *elements: Any) -> Any:
        for offset in elements:
            pointer = self.builder.gep(pointer, [offset if isinstance(offset, ir.Value) else self.index(offset)])
        return pointer

    @staticmethod
    def index(number: int) -> Any:
        return ir.Constant(INDEX, number)

    def zeros(self, width: int) -> Any:
        return ir.Constant(ir.VectorType(self.number, width), [0.0] * width)

    def load(self, pointer: Any, width: int) -> Any:
        vector = ir.VectorType(self.number, width).as_pointer()
        return self.builder.load(self.builder.bitcast(pointer, vector), align=self.bits // 8)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=self.bits // 8)

    def spread(self, number: Any, width: int) -> Any:
        """The number in every lane."""
        nothing = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(LANE, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(LANE, width), [0] * width))

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
        index = builder.phi(INDEX)
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

    def widths(self, columns: int) -> list[int]:
        """Return the widths of the vectors that cover `columns` numbers: full registers, then the remainder."""
        width = lanes(self.bits // 8)
        return [min(width, columns - first) for first in range(0, columns, width)]

    def over_columns(
        self, columns: int, carried: Sequence[Any], body: Callable[[Any, int, list[Any]], Sequence[Any]]
    ) -> list[Any]:
        """carried = body(first column, width, carried) for whole vectors, then for what is left of the columns."""
        width = lanes(self.bits // 8)
        whole, left = columns // width * width, columns % width
        sums = list(carried)
        if whole:
            bounds = self.index(0), self.index(whole), width
            sums = self.loop(*bounds, sums, lambda at, values: body(at, width, values))
        return list(body(self.index(whole), left, sums)) if left else sums
