"""Pointwise expressions as one loop over rows and units."""

from collections.abc import Mapping, Sequence
from typing import Any

from aelle_core.foundation.vector_instructions import Emitter
from aelle_core.training.compiler.emit.elementary_functions import Functions
from aelle_core.training.compiler.expressions import Expression, Leaf
from aelle_core.training.compiler.schedule import Location, Write

_FLAGS = ("contract",)


class Pointwise:
    """Writes columns of some arrays from columns of others, each (rows, columns * units) of float32.

    `names` are those of the arrays. Units must lie side by side; arrays that are written may be read as well: all is
    read before anything is written.
    """

    def __init__(self, writes: Sequence[Write], known: Mapping[Expression, Location]) -> None:
        self.writes = writes
        self.known = known
        self.names = tuple(dict.fromkeys([*self._read_arrays(), *(write.location.array for write in writes)]))

    def emit(self, emit: Emitter, bases: Sequence[Any], by_row: Sequence[Any], rows: Any, units: int) -> None:
        """The loops for one network: `bases` are the arrays' first elements, `by_row` their strides."""
        bodies = {width: _Body(self, emit, bases, units, width) for width in dict.fromkeys(emit.widths(units))}
        for body in bodies.values():
            body.emit_spread()

        def row(index: Any, _: list[Any]) -> list[Any]:
            at = [
                emit.pointer(base, emit.builder.mul(index, stride)) for base, stride in zip(bases, by_row, strict=True)
            ]
            return emit.over_columns(units, [], lambda unit, width, _: bodies[width].emit_at(at, unit))

        emit.loop(emit.index(0), rows, 1, [], row)

    def _read_arrays(self) -> list[str]:
        arrays: dict[str, None] = {}
        seen: set[Expression] = set()

        def visit(expression: Expression) -> None:
            if expression in seen:
                return
            seen.add(expression)
            if expression in self.known:
                arrays[self.known[expression].array] = None
            elif isinstance(expression.value, Leaf):
                arrays[expression.value.array] = None
            for argument in () if expression in self.known else expression.arguments:
                visit(argument)

        for write in self.writes:
            visit(write.expression)
        return list(arrays)


class _Body:
    """The innermost loop for vectors of one width."""

    def __init__(self, work: Pointwise, emit: Emitter, bases: Sequence[Any], units: int, width: int) -> None:
        self._work, self._emit, self._bases, self._units, self._width = work, emit, bases, units, width
        self._functions = Functions(emit.builder, width)
        self._spread: dict[Expression, Any] = {}

    def emit_spread(self) -> None:
        """What a whole network shares, before its rows."""
        for write in self._work.writes:
            self._visit_spread(write.expression)

    def _visit_spread(self, expression: Expression) -> bool:
        """Whether a network has one number there; then it is computed."""
        if expression in self._spread or expression.operation == "constant":
            return True
        if expression in self._work.known:
            return False
        if isinstance(expression.value, Leaf):
            if expression.value.spread:
                base = self._bases[self._work.names.index(expression.value.array)]
                self._spread[expression] = self._emit.load_spread(base, self._width)
            return expression.value.spread
        shared = [self._visit_spread(argument) for argument in expression.arguments]
        if all(shared):
            self._spread[expression] = self._apply(expression, self._spread)
        return all(shared)

    def emit_at(self, bases: Sequence[Any], unit: Any) -> list[Any]:
        """Everything for `width` units from `unit` on of one row."""
        values = dict(self._spread)
        results = [self._value(write.expression, values, bases, unit) for write in self._work.writes]
        for write, result in zip(self._work.writes, results, strict=True):
            self._emit.store(result, self._pointer(write.location, bases, unit))
        return []

    def _pointer(self, location: Location, bases: Sequence[Any], unit: Any) -> Any:
        return self._emit.pointer(bases[self._work.names.index(location.array)], self._units * location.column, unit)

    def _value(self, expression: Expression, values: dict[Expression, Any], bases: Sequence[Any], unit: Any) -> Any:
        if expression in values or expression.operation == "constant":
            return self._apply(expression, values) if expression.operation == "constant" else values[expression]
        if (location := self._work.known.get(expression)) is not None:
            value = self._emit.load(self._pointer(location, bases, unit), self._width)
        elif isinstance(leaf := expression.value, Leaf):
            value = self._emit.load(self._pointer(Location(leaf.array, leaf.column), bases, unit), self._width)
        else:
            for argument in expression.arguments:
                self._value(argument, values, bases, unit)
            value = self._apply(expression, values)
        values[expression] = value
        return value

    def _apply(self, expression: Expression, values: Mapping[Expression, Any]) -> Any:
        """The operation on values that are there."""
        builder, functions = self._emit.builder, self._functions
        if expression.operation == "constant":
            return functions.number(float(expression.value))  # type: ignore[arg-type]
        arguments = [
            functions.number(float(argument.value)) if argument.operation == "constant" else values[argument]  # type: ignore[arg-type]
            for argument in expression.arguments
        ]
        match expression.operation:
            case "add":
                return builder.fadd(*arguments, flags=_FLAGS)
            case "subtract":
                return builder.fsub(*arguments, flags=_FLAGS)
            case "multiply":
                return builder.fmul(*arguments, flags=_FLAGS)
            case "divide":
                return builder.fdiv(*arguments)
            case "negate":
                return builder.fneg(*arguments)
        return getattr(functions, expression.operation)(*arguments)
