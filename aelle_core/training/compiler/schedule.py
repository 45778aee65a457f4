"""One step forward or backward as a sequence: products of one level, then one pointwise kernel, and so on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aelle_core.training.compiler import expressions as e
from aelle_core.training.compiler.expressions import Expression, Leaf
from aelle_core.training.compiler.trace import Columns, Product


@dataclass(frozen=True)
class Location:
    """Where columns lie: in `array`, from `column` on."""

    array: str
    column: int


@dataclass(frozen=True)
class Write:
    """One column of an array and what the kernel writes there."""

    expression: Expression
    location: Location


@dataclass(frozen=True)
class Multiplication:
    """The product `number`: columns from `operand` on, times a weight, into the array `result`."""

    number: int
    operand: Location
    columns: int
    weight: str
    transposed: bool
    result: str
    result_columns: int


@dataclass(frozen=True)
class Stage:
    """Products that can run now, then one kernel; `known` are expressions that earlier stages have stored."""

    multiplications: tuple[Multiplication, ...]
    writes: tuple[Write, ...]
    known: Mapping[Expression, Location]


@dataclass(frozen=True)
class Program:
    """`stages` in order, and the arrays that they write: name -> columns."""

    stages: tuple[Stage, ...]
    written: Mapping[str, int]

    @property
    def multiplications(self) -> list[Multiplication]:
        """All products, by number."""
        return sorted(
            (product for stage in self.stages for product in stage.multiplications), key=lambda product: product.number
        )


def arrange(
    outputs: Mapping[str, Columns],
    products: Iterable[Product],
    known: Mapping[Expression, Location],
    operand_name: str,
) -> Program:
    """Return the program that writes the outputs. `known` expressions are read from where they lie; an operand that
    lies nowhere yet gets the array `operand_name` with the product's number."""
    products = tuple(products)
    written = dict(outputs)
    locations = [_find(product.operand, written) for product in products]
    for number, product in enumerate(products):
        if locations[number] is None:
            # Another product may have the same operand.
            written.setdefault(f"{operand_name} {number}", product.operand)
            for other in range(number, len(products)):
                if locations[other] is None:
                    locations[other] = _find(products[other].operand, {f"{operand_name} {number}": product.operand})
    levels = _Levels(products, known)
    pending = [
        (levels.of(expression), Write(expression, Location(name, column)))
        for name, columns in written.items()
        for column, expression in enumerate(columns)
    ]
    last = max([level for level, _ in pending] + [levels.of_product(product) for product in products], default=0)
    stored = dict(known)
    stages = []
    for level in range(last + 1):
        multiplications = tuple(
            Multiplication(
                number,
                location,
                len(product.operand),
                product.weight,
                product.transposed,
                _array(product.results),
                len(product.results),
            )
            for number, (product, location) in enumerate(zip(products, locations, strict=True))
            if levels.of_product(product) == level and location is not None
        )
        writes = tuple(write for at, write in pending if at == level)
        if multiplications or writes:
            stages.append(Stage(multiplications, writes, dict(stored)))
        for write in writes:
            if write.expression.operation not in ("leaf", "constant"):
                stored.setdefault(write.expression, write.location)
    return Program(tuple(stages), {name: len(columns) for name, columns in written.items()})


def _array(columns: Columns) -> str:
    value = columns[0].value
    assert isinstance(value, Leaf)
    return value.array


def _find(operand: Columns, written: Mapping[str, Columns]) -> Location | None:
    """Where the operand's columns lie side by side already: in an array that is given or written."""
    first = operand[0].value
    if isinstance(first, Leaf) and not first.spread:
        expected = tuple(e.leaf(first.array, first.column + at) for at in range(len(operand)))
        if operand == expected:
            return Location(first.array, first.column)
    for name, columns in written.items():
        for at in range(len(columns) - len(operand) + 1):
            if columns[at : at + len(operand)] == operand:
                return Location(name, at)
    return None


class _Levels:
    """After how many rounds of products an expression can be computed."""

    def __init__(self, products: tuple[Product, ...], known: Mapping[Expression, Location]) -> None:
        self._products = {_array(product.results): product for product in products}
        self._known: dict[Expression, int] = dict.fromkeys(known, 0)

    def of(self, expression: Expression) -> int:
        if expression not in self._known:
            inside = [self.of(argument) for argument in expression.arguments]
            if isinstance(expression.value, Leaf) and expression.value.array in self._products:
                inside.append(self.of_product(self._products[expression.value.array]))
            self._known[expression] = max(inside, default=0)
        return self._known[expression]

    def of_product(self, product: Product) -> int:
        return 1 + max(self.of(expression) for expression in product.operand)
