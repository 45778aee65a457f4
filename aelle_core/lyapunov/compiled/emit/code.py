"""One function for all steps of a trajectory: the states one after the other, and the Jacobian of every step.

Every element has its number in `values`; those that hang on the state also have a row in `rows`, their derivatives by
the state. Rows are whole registers wide.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from aelle_core.foundation.vector_instructions import INDEX
from aelle_core.lyapunov.compiled.emit.places import Places
from aelle_core.lyapunov.compiled.emit.products import planned_linear, sum_terms
from aelle_core.lyapunov.compiled.emit.rules import DOUBLE, RULES
from aelle_core.lyapunov.compiled.emit.writer import Writer
from aelle_core.lyapunov.compiled.graph import Graph, NotCompilableError, Operation

NAME = "trajectory"
_MOST_ROWS = 2**25  # bytes: beyond, second-level caches hold too little of them
_NUMBERS = DOUBLE.as_pointer()
SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5, *[ctypes.c_int64] * 2)
"""values, rows, noise, inputs, Jacobians (transposed, one after the other), steps, and where in the noise to begin."""


class StepCode(Writer):
    """The function's code, and how its arrays are laid out; `rows` is the shape (rows, width) of the derivatives.

    Raises NotCompilableError where these take more memory than is good for the caches.
    """

    def __init__(self, graph: Graph, *, disturbed: bool) -> None:
        super().__init__(graph, disturbed=disturbed)
        self._write()
        self.rows = (self.count, self.width)

    def _write(self) -> None:
        pointers = [_NUMBERS] * 5
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [*pointers, INDEX, INDEX]), NAME)
        for argument in function.args[:5]:
            argument.add_attribute("noalias")
        values, rows, noise, inputs, jacobians, steps, noise_index = function.args
        builder = ir.IRBuilder(function.append_basic_block("start"))
        self.begin(builder, values, rows, noise)
        chosen = [self._planned(operation) for operation in self.graph.operations]
        room = self.values
        self.values += self.graph.size
        if self.count * self.width * 8 > _MOST_ROWS:
            raise NotCompilableError(f"{self.count} derivatives by {self.graph.size} numbers")
        for prepare in self.before:
            prepare()

        def step(time: Any, carried: list[Any]) -> list[Any]:
            self.noise_index = carried[0]
            features = self.graph.features
            if features:
                self.copy(inputs, builder.mul(time, self.emit.index(features)), self.v, self.graph.inputs[0], features)
            for operation in chosen:
                operation()
            matrix = builder.mul(time, self.emit.index(self.graph.size**2))
            self._finish(self.emit.pointer(jacobians, matrix), room)
            return [self.noise_index]

        self.emit.loop(self.emit.index(0), steps, 1, [noise_index], step)
        builder.ret_void()

    def _finish(self, jacobian: Any, room: int) -> None:
        """Write the transposed Jacobian; then the new state becomes the old one."""
        size, builder = self.graph.size, self.builder
        elements = Places(self.module, self.graph.results)
        lines = Places(self.module, self.rows_of(self.graph.results))

        def line(index: Any) -> None:
            row = self.row(lines.at(builder, index))
            value = builder.load(self.emit.pointer(self.v, elements.at(builder, index)))
            builder.store(value, self.emit.pointer(self.v, room, index))

            def entry(column: Any) -> None:
                at = column * size if isinstance(column, int) else builder.mul(column, self.emit.index(size))
                target = self.emit.pointer(jacobian, at, index)
                builder.store(builder.load(self.emit.pointer(row, column)), target)

            self.each(size, entry)

        self.each(size, line)
        self.copy(self.v, room, self.v, self.graph.state[0], size)

    def _planned(self, operation: Operation) -> Callable[[], None]:
        """Lay out the operation's rows and constants; return what emits it within a step."""
        if operation.moves:
            self.row_of[operation.first : operation.first + operation.count] = self.count + np.arange(operation.count)
            self.count += operation.count
        if operation.kind == "dot":
            linear = planned_linear(self, operation)
            return linear or (lambda: sum_terms(self, operation))
        if operation.kind == "sum":
            return lambda: sum_terms(self, operation)
        return lambda: self._pointwise(operation)

    def _pointwise(self, operation: Operation) -> None:
        noise = self.next_noise(operation)
        places = [Places(self.module, numbers) for numbers in operation.operands]
        moving = [operation.moves and bool((self.row_of[numbers] >= 0).any()) for numbers in operation.operands]
        lines = [
            Places(self.module, self.rows_of(numbers)) if moves else None
            for numbers, moves in zip(operation.operands, moving, strict=True)
        ]

        def result(index: Any) -> None:
            value, partials = RULES[operation.kind](
                *(self.value(operand.at(self.builder, index)) for operand in places)
            )
            factor = None if noise is None else self.builder.load(noise(index))
            self.store(operation, index, value, factor)
            if operation.moves:
                terms = [
                    (self.row(line.at(self.builder, index)), partial)
                    for line, partial in zip(lines, partials, strict=True)
                    if line is not None and partial is not None
                ]
                self.combine(self.out(operation, index), 1, lambda _: terms, factor)

        self.each(operation.count, result)
