"""The compiled sequences of a recurrence: forward, and from inputs and targets to losses and gradients."""

import itertools
from collections.abc import Iterator
from functools import cached_property

from aelle_core.training.compiler.adjoint import is_state
from aelle_core.training.compiler.emit.loops import CompiledLoop, Pass
from aelle_core.training.compiler.emit.pointwise import Pointwise
from aelle_core.training.compiler.operations import (
    COMPARISONS,
    Cut,
    Fill,
    Gather,
    Gradient,
    LookUp,
    Multiply,
    Operation,
    ScatterAdd,
    Start,
)
from aelle_core.training.compiler.recurrence import Recurrence
from aelle_core.training.compiler.schedule import Location, Program


class Sequences:
    """The compiled sequences of one recurrence, for cells of some units read out into some outputs, which a loss
    compares with targets; made when they are first needed.

    Inputs are vectors of so many features, or `coded`: one-hot vectors of so many, given as codes. Arrays are named as
    in Recurrence, and further: `given inputs` and a tile's own `inputs`, or `codes`; `matrix ...` the right sides of
    products, by the forward program's number, or `back` and the backward program's, `inputs`, `readout` and `readout
    back`; `scores`, which become their adjoints; `readout bias`, `targets` or `classes`, `share` and `total loss` as
    a Comparison takes them; `ones`; `cuts`, where a network's gradients stop; `gradient ...` of the matrices by the
    forward program's number, or of `inputs` and `readout`; `total ...` of a pointwise weight's adjoint.
    """

    def __init__(self, recurrence: Recurrence, units: int, features: int, coded: bool, outputs: int, loss: str) -> None:
        self.recurrence, self.units, self.features, self.outputs = recurrence, units, features, outputs
        self.compare = COMPARISONS[loss]
        self.coded = coded
        step = recurrence.step
        self._at_rest = {number for number, product in enumerate(step.products) if is_state(product.operand)}
        self.drive_width = step.drive_columns * units
        self.read_out = f"new {next(iter(step.outputs))}"

    @cached_property
    def forward(self) -> CompiledLoop:
        """The step without keeping anything."""
        return CompiledLoop([Pass((*self._forward(self.recurrence.forward),), self._gathers)], self.units)

    @cached_property
    def gradient(self) -> CompiledLoop:
        """All steps with the readout's losses, and back, with the gradients of all weights."""
        forward, back = tuple(self._forward(self.recurrence.training)), tuple(self._backward())
        arrivals = list(itertools.chain.from_iterable(self.recurrence.arrivals.values()))
        if self.recurrence.every:
            passes = [Pass((*forward, *self._readout("d output")), self._gathers)]
        else:
            passes = [Pass(forward, self._gathers), Pass(tuple(self._readout(arrivals.pop(0))), order="last")]
        fills = tuple(Fill(array, self.units) for array in arrivals)
        return CompiledLoop([*passes, Pass(back, fills, order="backwards")], self.units)

    @cached_property
    def kept(self) -> frozenset[str]:
        """What the pass backward works on: of the arrays of the pass forward those that are kept for all steps."""
        return frozenset(name for operation in self._backward() for name in operation.names)

    @property
    def _gathers(self) -> tuple[Start, ...]:
        return () if self.coded else (Gather("inputs", "given inputs", self.features),)

    def _forward(self, program: Program) -> Iterator[Operation]:
        if self.coded:
            yield LookUp("codes", "matrix inputs", "drive", self.drive_width)
        else:
            yield Multiply(Location("inputs", 0), "matrix inputs", "drive", (self.features, self.drive_width))
        yield from self._stages(program, "matrix")

    def _stages(self, program: Program, matrices: str) -> Iterator[Operation]:
        for stage in program.stages:
            for product in stage.multiplications:
                sizes = product.columns * self.units, product.result_columns * self.units
                rest = product.number in self._at_rest
                yield Multiply(product.operand, f"{matrices} {product.number}", product.result, sizes, rest)
            if stage.writes:
                yield Pointwise(stage.writes, stage.known)

    def _readout(self, adjoint: str) -> Iterator[Operation]:
        """Scores, losses, and the adjoint of the hidden state, with the gradients of the readout."""
        hidden, scores = Location(self.read_out, 0), Location("scores", 0)
        sizes = self.units, self.outputs
        yield Multiply(hidden, "matrix readout", "scores", sizes)
        yield self.compare("scores", "readout bias", self.compare.given, "share", "total loss", self.outputs)
        yield Multiply(scores, "matrix readout back", adjoint, sizes[::-1])
        yield Gradient(scores, hidden, "gradient readout", sizes[::-1])
        yield Gradient(Location("ones", 0), scores, "total readout bias", (1, self.outputs))

    def _backward(self) -> Iterator[Operation]:
        """One step back, with the gradients of the recurrence's weights."""
        recurrence, units = self.recurrence, self.units
        yield Cut("cuts", tuple(itertools.chain.from_iterable(recurrence.arrivals.values())), units)
        yield from self._stages(recurrence.backward, "matrix back")
        forward = recurrence.training.multiplications
        for product, adjoint in zip(forward, recurrence.backward.multiplications, strict=True):
            # Of a weight that is used transposed, the gradient is transposed as well.
            pair = [(product.operand, product.columns), (adjoint.operand, adjoint.columns)]
            (left, inner), (right, columns) = reversed(pair) if product.transposed else pair
            rest = product.number in self._at_rest
            yield Gradient(left, right, f"gradient {product.number}", (inner * units, columns * units), rest)
        drive, ones = Location("d drive", 0), Location("ones", 0)
        sizes = self.features, self.drive_width
        if self.coded:
            yield ScatterAdd("codes", "d drive", "gradient inputs", sizes)
        else:
            yield Gradient(Location("inputs", 0), drive, "gradient inputs", sizes)
        if recurrence.like_drive:
            yield Gradient(ones, drive, "total drive", (1, self.drive_width))
        for name in sorted(recurrence.weights - recurrence.like_drive):
            width = max(1, recurrence.step.weights[name]) * units
            yield Gradient(ones, Location(f"d weight {name}", 0), f"total {name}", (1, width))
