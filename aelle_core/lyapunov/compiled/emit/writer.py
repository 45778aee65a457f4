"""What all operations of a compiled step are written with: values, rows of derivatives, loops, disturbances."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from aelle_core.foundation.vector_instructions import Emitter, lanes
from aelle_core.lyapunov.compiled.emit.rules import Partial, Real
from aelle_core.lyapunov.compiled.graph import Graph, Operation

NOISE = 8192  # factors, from any of which on a stretch as long as the largest operation can be read
_UNROLLED = 4  # results up to which no loop is made
_TOGETHER = 4  # registers of a row that are summed at once


class Writer:
    """Where elements and their rows lie, and the instructions that read and write them.

    values      how many numbers `values` holds: elements, then what else finds room there
    turned      place in `values` -> element numbers whose values are laid there
    count       rows so far
    """

    def __init__(self, graph: Graph, *, disturbed: bool) -> None:
        self.graph, self.disturbed = graph, disturbed
        self.module = ir.Module()
        size = graph.size
        self.lanes = min(lanes(8), max(2, 1 << (size - 1).bit_length()))
        self.width = -(-size // self.lanes) * self.lanes
        self.row_of = np.full(graph.elements, -1, np.int64)
        self.row_of[graph.state] = np.arange(size)
        self.zero_row = size
        self.count = size + 1
        self.turned: dict[int, np.ndarray] = {}
        self.values = graph.elements
        self.before: list[Callable[[], None]] = []  # what is done before the first step

    def begin(self, builder: Any, values: Any, rows: Any, noise: Any) -> None:
        """Write into the builder's function from now on."""
        self.builder, self.emit = builder, Emitter(builder, types.float64)
        self.v, self.d, self.noise = values, rows, noise
        self.noise_index: Any = None

    def copy(self, source: Any, at: Any, target: Any, to: int, count: int) -> None:
        def move(index: Any) -> None:
            self.builder.store(
                self.builder.load(self.emit.pointer(source, at, index)), self.emit.pointer(target, to, index)
            )

        self.each(count, move)

    def each(self, count: int, body: Callable[[Any], None]) -> None:
        """body(index) for every index: one after another where they are few, else in a loop."""
        if count <= _UNROLLED:
            for index in range(count):
                body(index)
            return

        def turn(index: Any, _: list[Any]) -> list[Any]:
            body(index)
            return []

        self.emit.loop(self.emit.index(0), self.emit.index(count), 1, [], turn)

    def rows_of(self, elements: np.ndarray) -> np.ndarray:
        rows = self.row_of[elements]
        return np.where(rows < 0, self.zero_row, rows)

    def row(self, number: Any) -> Any:
        return self.emit.pointer(self.d, self.builder.mul(number, self.emit.index(self.width)))

    def value(self, index: Any) -> Real:
        return Real(self.builder, self.builder.load(self.emit.pointer(self.v, index)))

    def next_noise(self, operation: Operation) -> Callable[[Any], Any] | None:
        """How to find the factor of a result; None where nothing is disturbed."""
        if not self.disturbed or operation.exact:
            return None
        grown = self.builder.add(self.builder.mul(self.noise_index, self.emit.index(29)), self.emit.index(1013))
        begin = self.noise_index = self.builder.and_(grown, self.emit.index(NOISE - 1))
        return lambda index: self.emit.pointer(self.noise, begin, index)

    def store(self, operation: Operation, index: Any, value: Real, factor: Any) -> None:
        number = value.value if factor is None else self.builder.fmul(value.value, factor)
        self.builder.store(number, self.emit.pointer(self.v, operation.first, index))

    def out(self, operation: Operation, index: Any) -> Any:
        first = int(self.row_of[operation.first])
        line = index * self.width if isinstance(index, int) else self.builder.mul(index, self.emit.index(self.width))
        return self.emit.pointer(self.d, first * self.width, line)

    def combine(
        self, target: Any, count: int, terms: Callable[[Any], Sequence[tuple[Any, Partial]]], factor: Any
    ) -> None:
        """Target row <- factor times the sum over `count` indices of their terms, each a row and what it is times."""
        emit, builder = self.emit, self.builder

        def part(at: Any, registers: int) -> None:
            def add(index: Any, sums: list[Any]) -> list[Any]:
                for row, times in terms(index):
                    spread = emit.spread(times.value, self.lanes) if isinstance(times, Real) else None
                    for register in range(registers):
                        loaded = emit.load(emit.pointer(row, at, register * self.lanes), self.lanes)
                        sums[register] = _added(emit, sums[register], loaded, spread, times)
                return sums

            nothing = [None] * registers
            if count == 1:
                sums = add(0, list(nothing))
            else:
                zeros = [emit.zeros(self.lanes)] * registers
                sums = emit.loop(emit.index(0), emit.index(count), 1, zeros, add)
            for register, total in enumerate(sums):
                result = emit.zeros(self.lanes) if total is None else total
                if factor is not None:
                    result = builder.fmul(result, emit.spread(factor, self.lanes))
                emit.store(result, emit.pointer(target, at, register * self.lanes))

        registers = self.width // self.lanes
        whole = registers // _TOGETHER * _TOGETHER if registers > _TOGETHER else 0

        def turn(at: Any, _: list[Any]) -> list[Any]:
            part(at, _TOGETHER)
            return []

        if whole:
            emit.loop(emit.index(0), emit.index(whole * self.lanes), _TOGETHER * self.lanes, [], turn)
        if registers > whole:
            part(whole * self.lanes, registers - whole)


def _added(emit: Emitter, total: Any, loaded: Any, spread: Any, times: Partial) -> Any:
    builder = emit.builder
    if spread is not None:
        return builder.fmul(loaded, spread) if total is None else emit.add_product(total, loaded, spread)
    if times == "minus one":
        return builder.fneg(loaded) if total is None else builder.fsub(total, loaded)
    return loaded if total is None else builder.fadd(total, loaded)
