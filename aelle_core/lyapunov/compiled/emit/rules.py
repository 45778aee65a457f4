"""What is done with single numbers: values, and their derivatives by each operand.

Derivatives of tanh and sigmoid keep their digits in saturation, as those of cells/derivatives.py.
"""

from collections.abc import Callable
from typing import Any, Literal

from llvmlite import ir

DOUBLE = ir.DoubleType()


class Real:
    """A double in the function that is being built; Python's operators emit instructions."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def of(self, other: "Real | float") -> "Real":
        return other if isinstance(other, Real) else Real(self.builder, ir.Constant(DOUBLE, float(other)))

    def _with(self, instruction: str, other: "Real | float", turned: bool = False) -> "Real":
        pair = [self.value, self.of(other).value]
        return Real(self.builder, getattr(self.builder, instruction)(*(reversed(pair) if turned else pair)))

    def __add__(self, other: "Real | float") -> "Real":
        return self._with("fadd", other)

    def __radd__(self, other: float) -> "Real":
        return self._with("fadd", other, True)

    def __sub__(self, other: "Real | float") -> "Real":
        return self._with("fsub", other)

    def __rsub__(self, other: float) -> "Real":
        return self._with("fsub", other, True)

    def __mul__(self, other: "Real | float") -> "Real":
        return self._with("fmul", other)

    def __rmul__(self, other: float) -> "Real":
        return self._with("fmul", other, True)

    def __truediv__(self, other: "Real | float") -> "Real":
        return self._with("fdiv", other)

    def __rtruediv__(self, other: float) -> "Real":
        return self._with("fdiv", other, True)

    def __neg__(self) -> "Real":
        return Real(self.builder, self.builder.fneg(self.value))

    def call(self, name: str, *others: "Real") -> "Real":
        """Call a function of the C library, or one of LLVM's own where the name begins so."""
        module = self.builder.module
        kind = ir.FunctionType(DOUBLE, [DOUBLE] * (1 + len(others)))
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, kind, name)
            if not name.startswith("llvm."):
                function.attributes.add("nounwind")
                function.attributes.add("readnone")
        return Real(self.builder, self.builder.call(function, [self.value, *(other.value for other in others)]))

    def compared(self, sign: str, other: "Real | float") -> Any:
        """Whether it is so; not where one is not a number, but for `!=`."""
        kind = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        return kind(sign, self.value, self.of(other).value)

    def chosen(self, condition: Any, yes: "Real | float", no: "Real | float") -> "Real":
        return Real(self.builder, self.builder.select(condition, self.of(yes).value, self.of(no).value))


Partial = Real | Literal["one", "minus one"] | None
Found = tuple[Real, tuple[Partial, ...]]
"""A value, and its derivative by every operand; None where that is zero."""


def _magnitude(a: Real) -> Real:
    return a.call("llvm.fabs.f64")


def _square_root(a: Real) -> Found:
    root = a.call("llvm.sqrt.f64")
    return root, (0.5 / root,)


def _inverse_square_root(a: Real) -> Found:
    root = 1.0 / a.call("llvm.sqrt.f64")
    return root, (-0.5 * root / a,)


def _quotient(a: Real, b: Real) -> Found:
    quotient = a / b
    return quotient, (1.0 / b, -quotient / b)


def _reciprocal(a: Real) -> Found:
    inverse = 1.0 / a
    return inverse, (-inverse * inverse,)


def _exponential(a: Real) -> Found:
    power = a.call("exp")
    return power, (power,)


def _hyperbolic_tangent(a: Real) -> Found:
    e = (-2.0 * _magnitude(a)).call("exp")
    return a.call("tanh"), (4.0 * e / ((1.0 + e) * (1.0 + e)),)


def _sigmoid(a: Real) -> Found:
    sigmoid, rest = (1.0 / (1.0 + argument.call("exp")) for argument in (-a, a))
    return sigmoid, (sigmoid * rest,)


def _softplus(a: Real) -> Found:
    """max(a, 0) + log(1 + e^-|a|)."""
    e = (-_magnitude(a)).call("exp")
    return _larger(a, a.of(0.0)) + e.call("log1p"), (1.0 / (1.0 + (-a).call("exp")),)


def _power(a: Real, b: Real) -> Found:
    power = a.call("pow", b)
    by_base = a.chosen(b.compared("==", 0.0), 0.0, b * a.call("pow", b - 1.0))
    by_exponent = a.chosen(power.compared("==", 0.0), 0.0, power * a.call("log"))
    return power, (by_base, by_exponent)


def _larger(a: Real, b: Real) -> Real:
    """Return the larger; what is not a number wins."""
    return a.chosen(a.builder.fcmp_unordered(">", a.value, b.value), a, b)


def _extreme(sign: str) -> Callable[[Real, Real], Found]:
    def rule(a: Real, b: Real) -> Found:
        first, both = a.compared(sign, b), a.compared("==", b)
        other = a.chosen(b.compared("!=", b), b, a.chosen(a.builder.fcmp_unordered(sign, a.value, b.value), a, b))
        by_first = a.chosen(both, 0.5, a.chosen(first, 1.0, 0.0))
        return other, (by_first, 1.0 - by_first)

    return rule


def _choice(condition: Real, a: Real, b: Real) -> Found:
    yes = condition.compared("!=", 0.0)
    return a.chosen(yes, a, b), (None, a.chosen(yes, 1.0, 0.0), a.chosen(yes, 0.0, 1.0))


def _comparison(sign: str) -> Callable[[Real, Real], Found]:
    return lambda a, b: (a.chosen(a.compared(sign, b), 1.0, 0.0), (None, None))


def _sign(a: Real) -> Real:
    return a.chosen(a.compared(">", 0.0), 1.0, a.chosen(a.compared("<", 0.0), -1.0, 0.0))


def _rectified(a: Real) -> Found:
    return _larger(a, a.of(0.0)), (a.chosen(a.compared(">", 0.0), 1.0, 0.0),)


def _tangent(a: Real) -> Found:
    tangent = a.call("tan")
    return tangent, (1.0 + tangent * tangent,)


def _angle(a: Real, b: Real) -> Found:
    square = a * a + b * b
    return a.call("atan2", b), (b / square, -a / square)


RULES: dict[str, Callable[..., Found]] = {
    "copy": lambda a: (a, ("one",)),
    "add": lambda a, b: (a + b, ("one", "one")),
    "sub": lambda a, b: (a - b, ("one", "minus one")),
    "mul": lambda a, b: (a * b, (b, a)),
    "div": _quotient,
    "neg": lambda a: (-a, ("minus one",)),
    "reciprocal": _reciprocal,
    "abs": lambda a: (_magnitude(a), (_sign(a),)),
    "relu": _rectified,
    "sqrt": _square_root,
    "rsqrt": _inverse_square_root,
    "exp": _exponential,
    "expm1": lambda a: (a.call("expm1"), (a.call("exp"),)),
    "log": lambda a: (a.call("log"), (1.0 / a,)),
    "log1p": lambda a: (a.call("log1p"), (1.0 / (1.0 + a),)),
    "sin": lambda a: (a.call("sin"), (a.call("cos"),)),
    "cos": lambda a: (a.call("cos"), (-a.call("sin"),)),
    "tan": _tangent,
    "sinh": lambda a: (a.call("sinh"), (a.call("cosh"),)),
    "cosh": lambda a: (a.call("cosh"), (a.call("sinh"),)),
    "tanh": _hyperbolic_tangent,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "atan": lambda a: (a.call("atan"), (1.0 / (1.0 + a * a),)),
    "asin": lambda a: (a.call("asin"), (1.0 / ((1.0 - a) * (1.0 + a)).call("llvm.sqrt.f64"),)),
    "acos": lambda a: (a.call("acos"), (-1.0 / ((1.0 - a) * (1.0 + a)).call("llvm.sqrt.f64"),)),
    "erf": lambda a: (a.call("erf"), ((2.0 / 3.141592653589793**0.5) * (-(a * a)).call("exp"),)),
    "pow": _power,
    "atan2": _angle,
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "where": _choice,
    "sign": lambda a: (_sign(a), (None,)),
    "sgn": lambda a: (_sign(a), (None,)),
    "floor": lambda a: (a.call("llvm.floor.f64"), (None,)),
    "ceil": lambda a: (a.call("llvm.ceil.f64"), (None,)),
    **{
        name: _comparison(sign)
        for name, sign in (("gt", ">"), ("lt", "<"), ("ge", ">="), ("le", "<="), ("eq", "=="), ("ne", "!="))
    },
}
"""Kind of an operation -> value and derivatives."""
