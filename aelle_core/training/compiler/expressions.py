"""Pointwise expressions of one unit: what a step computes between its matrix products, and its derivatives.

An expression stands for one number of each (network, row, unit). Equal expressions are one object, so that common
parts are computed once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, eq=False)
class Expression:
    """`operation` on `arguments`; leaves carry a `value`: a number for constants, a Leaf for what is given."""

    operation: str
    arguments: tuple["Expression", ...] = ()
    value: object = None

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.arguments)) if self.arguments else repr(self.value)
        return f"{self.operation}({inside})"


@dataclass(frozen=True)
class Leaf:
    """A number that is given: column `column` (in units) of the array `array`; `spread` when a whole network shares
    one number."""

    array: str
    column: int = 0
    spread: bool = False


@cache
def _make(operation: str, arguments: tuple[Expression, ...], value: object) -> Expression:
    return Expression(operation, arguments, value)


def leaf(array: str, column: int = 0, spread: bool = False) -> Expression:
    """Return the given number at that place."""
    return _make("leaf", (), Leaf(array, column, spread))


def constant(value: float) -> Expression:
    """Return a number that is the same everywhere."""
    return _make("constant", (), float(value))


def _is(expression: Expression, value: float) -> bool:
    return expression.operation == "constant" and expression.value == value


def add(a: Expression, b: Expression) -> Expression:
    """Return a + b."""
    if _is(a, 0.0):
        return b
    return a if _is(b, 0.0) else _make("add", (a, b), None)


def subtract(a: Expression, b: Expression) -> Expression:
    """Return a - b."""
    if _is(b, 0.0):
        return a
    return negate(b) if _is(a, 0.0) else _make("subtract", (a, b), None)


def multiply(a: Expression, b: Expression) -> Expression:
    """Return a b. A factor of zero stays where the other may be infinite or no number: only constants fold."""
    if _is(a, 1.0):
        return b
    if _is(b, 1.0):
        return a
    return _make("multiply", (a, b), None)


def divide(a: Expression, b: Expression) -> Expression:
    """Return a / b."""
    return a if _is(b, 1.0) else _make("divide", (a, b), None)


def negate(a: Expression) -> Expression:
    """Return -a."""
    return a.arguments[0] if a.operation == "negate" else _make("negate", (a,), None)


def function(name: str, a: Expression) -> Expression:
    """tanh, sigmoid, relu, sqrt, sign or softplus of a."""
    return _make(name, (a,), None)


def where_positive(condition: Expression, a: Expression) -> Expression:
    """0 where the condition is at most 0, else a."""
    return _make("where_positive", (condition, a), None)


FUNCTIONS = ("tanh", "sigmoid", "relu", "sqrt", "sign", "softplus")
DEAR = ("tanh", "sigmoid", "sqrt", "softplus", "divide")  # kept for the backward pass rather than computed again

_Rule = Callable[[Expression, Expression], tuple[Expression, ...]]

_ADJOINTS: dict[str, _Rule] = {
    "add": lambda y, d: (d, d),
    "subtract": lambda y, d: (d, negate(d)),
    "multiply": lambda y, d: (multiply(d, y.arguments[1]), multiply(d, y.arguments[0])),
    "divide": lambda y, d: (divide(d, y.arguments[1]), negate(divide(multiply(d, y), y.arguments[1]))),
    "negate": lambda y, d: (negate(d),),
    "tanh": lambda y, d: (multiply(d, subtract(constant(1.0), multiply(y, y))),),
    "sigmoid": lambda y, d: (multiply(d, multiply(y, subtract(constant(1.0), y))),),
    "relu": lambda y, d: (where_positive(y, d),),
    "sign": lambda y, d: (constant(0.0),),
    "softplus": lambda y, d: (multiply(d, function("sigmoid", y.arguments[0])),),
    "sqrt": lambda y, d: (divide(multiply(constant(0.5), d), y),),
}


def adjoints(y: Expression, d: Expression) -> tuple[Expression, ...]:
    """For y = operation(arguments) with adjoint d, the share of each argument's adjoint."""
    return _ADJOINTS[y.operation](y, d)


def replace(expression: Expression, new: Mapping[Expression, Expression]) -> Expression:
    """Return the expression with some of its leaves exchanged."""
    if expression in new:
        return new[expression]
    if not expression.arguments:
        return expression
    return _make(
        expression.operation, tuple(replace(argument, new) for argument in expression.arguments), expression.value
    )
