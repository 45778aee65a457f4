"""tanh, the logistic function and e^x on vectors of float32, to about two units in the last place.

All come from e^x - 1 = 2^k (e^f - 1) + (2^k - 1) with x = k ln 2 + f, |f| <= ln(2) / 2, and the Taylor polynomial of
degree 7 for e^f - 1, whose remainder is below 1e-8 of the result (Muller, Elementary functions, 2016, chapter 11). No
number is no number here too: comparisons with it are false, so that the clamps let it pass.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir

_ROUND = 1.5 * 2.0**23  # adding it leaves the nearest integer in the lowest bits of the sum
_LN2_HIGH = float(np.float32(0.693359375))  # few bits: its product with a small integer is exact
_LN2_LOW = math.log(2.0) - _LN2_HIGH


class Functions:
    """Emits the functions with a builder, for vectors of `width` float32."""

    def __init__(self, builder: Any, width: int) -> None:
        self._builder = builder
        self._real = ir.VectorType(ir.FloatType(), width)
        self._bits = ir.VectorType(ir.IntType(32), width)
        self._width = width

    def number(self, value: float) -> Any:
        """The constant in every lane."""
        return ir.Constant(self._real, [float(np.float32(value))] * self._width)

    def _clamp(self, x: Any, bound: float) -> Any:
        builder = self._builder
        high, low = self.number(bound), self.number(-bound)
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
        return builder.select(builder.fcmp_ordered("<", x, low), low, x)

    def _exponential(self, x: Any) -> tuple[Any, Any]:
        """2^k and e^f - 1, for |x| below 88."""
        builder = self._builder
        magic = self.number(_ROUND)
        shifted = self._fma(x, self.number(1 / math.log(2.0)), magic)
        k = builder.fsub(shifted, magic)
        f = self._fma(k, self.number(-_LN2_HIGH), x)
        f = self._fma(k, self.number(-_LN2_LOW), f)
        polynomial = self.number(1 / 5040)
        for divisor in (720, 120, 24, 6, 2):
            polynomial = self._fma(polynomial, f, self.number(1 / divisor))
        polynomial = self._fma(builder.fmul(f, f), polynomial, f)
        exponent = builder.shl(builder.bitcast(shifted, self._bits), ir.Constant(self._bits, [23] * self._width))
        bits_of_one = ir.Constant(self._bits, [0x3F800000] * self._width)
        return builder.bitcast(builder.add(exponent, bits_of_one), self._real), polynomial

    def tanh(self, x: Any) -> Any:
        """(e^2x - 1) / (e^2x + 1); 1 from 9.02 on, where it rounds to that."""
        builder = self._builder
        x = self._clamp(x, 9.02)
        scale, rest = self._exponential(builder.fadd(x, x))
        less_one = self._fma(scale, rest, builder.fsub(scale, self.number(1.0)))
        return builder.fdiv(less_one, builder.fadd(less_one, self.number(2.0)))

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""
        builder = self._builder
        return builder.fdiv(self.number(1.0), builder.fadd(self.number(1.0), self.exp(builder.fneg(x))))

    def exp(self, x: Any) -> Any:
        """e^x; beyond 87 and -87 what it is there, 6e37 and 2e-38."""
        scale, rest = self._exponential(self._clamp(x, 87.0))
        return self._fma(scale, rest, scale)

    def relu(self, x: Any) -> Any:
        """max(x, 0)."""
        return self.where_positive(x, x)

    def where_positive(self, condition: Any, a: Any) -> Any:
        """0 where the condition is at most 0, else a."""
        zero = self.number(0.0)
        return self._builder.select(self._builder.fcmp_ordered("<=", condition, zero), zero, a)

    def sign(self, x: Any) -> Any:
        """1, -1 or 0."""
        builder, zero = self._builder, self.number(0.0)
        below = builder.select(builder.fcmp_ordered("<", x, zero), self.number(-1.0), zero)
        return builder.select(builder.fcmp_ordered(">", x, zero), self.number(1.0), below)

    def softplus(self, x: Any) -> Any:
        """log(1 + e^x) = max(x, 0) - log(sigmoid(|x|))."""
        builder = self._builder
        size = self._intrinsic("fabs", x)
        return builder.fsub(self.relu(x), self._intrinsic("log", self.sigmoid(size)))

    def sqrt(self, x: Any) -> Any:
        """The square root."""
        return self._intrinsic("sqrt", x)

    def _fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self._intrinsic("fma", a, b, c)

    def _intrinsic(self, name: str, *arguments: Any) -> Any:
        module = self._builder.module
        name = f"llvm.{name}.v{self._width}f32"
        kind = ir.FunctionType(self._real, [self._real] * len(arguments))
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self._builder.call(function, arguments)
