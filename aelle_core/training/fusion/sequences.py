"""The compiled sequences of a recurrence: forward, forward with what the backward pass needs, and backward."""

import itertools
from functools import cached_property

from aelle_core.training.fusion.adjoint import is_state
from aelle_core.training.fusion.pointwise import Pointwise
from aelle_core.training.fusion.program import Place, Program
from aelle_core.training.fusion.recurrence import Recurrence
from aelle_core.training.fusion.sequence import Cut, Fill, Gradient, Multiply, Operation, Sequence


class Sequences:
    """The compiled sequences of one recurrence, for cells of some units; made when they are first needed.

    With `features` inputs' product with the input weight is part of the sequences, without (codes) the drive is given.
    Arrays are named as in Recurrence, and further: `inputs`; `matrix ...` the right sides of products, by the program's
    number or `matrix inputs`; `ones`; `outputs' adjoint`; `cuts`, where a network's gradients stop; `gradient ...` of
    the matrices by the forward program's number, or of the inputs' weight; `total ...` of a pointwise weight's adjoint.
    """

    def __init__(self, recurrence: Recurrence, units: int, features: int | None) -> None:
        self.recurrence, self.units, self.features = recurrence, units, features
        step = recurrence.step
        self._at_rest = {number for number, product in enumerate(step.products) if is_state(product.operand)}
        self.drive_width = step.drive_columns * units

    @cached_property
    def forward(self) -> Sequence:
        """The step without keeping anything."""
        return Sequence([], self._forward(self.recurrence.forward), self.units, backwards=False)

    @cached_property
    def training(self) -> Sequence:
        """The step, keeping what `backward` reads."""
        return Sequence([], self._forward(self.recurrence.training), self.units, backwards=False)

    def _forward(self, program: Program) -> list[Operation]:
        found: list[Operation] = []
        if self.features is not None:
            found.append(Multiply(Place("inputs", 0), "matrix inputs", "drive", (self.features, self.drive_width)))
        return found + self._stages(program)

    def _stages(self, program: Program) -> list[Operation]:
        found: list[Operation] = []
        for stage in program.stages:
            for each in stage.multiplications:
                sizes = each.columns * self.units, each.result_columns * self.units
                rest = each.number in self._at_rest
                found.append(Multiply(each.operand, f"matrix {each.number}", each.result, sizes, rest))
            if stage.writes:
                found.append(Pointwise(stage.writes, stage.known))
        return found

    @cached_property
    def backward(self) -> Sequence:
        """The adjoint of all steps, with the gradients of all weights."""
        recurrence, units = self.recurrence, self.units
        arrivals = tuple(itertools.chain.from_iterable(recurrence.arrivals.values()))
        fills = [Fill(array, None, units) for array in arrivals]
        if not recurrence.every:
            fills[0] = Fill(arrivals[0], "outputs' adjoint", units)
        operations = [Cut("cuts", arrivals, units), *self._stages(recurrence.backward)]
        forward = recurrence.training.multiplications
        for product, adjoint in zip(forward, recurrence.backward.multiplications, strict=True):
            # Of a weight that is used transposed, the gradient is transposed as well.
            pair = [(product.operand, product.columns), (adjoint.operand, adjoint.columns)]
            (left, inner), (right, columns) = reversed(pair) if product.transposed else pair
            sizes = inner * units, columns * units
            rest = product.number in self._at_rest
            operations.append(Gradient(left, right, f"gradient {product.number}", sizes, rest))
        drive, ones = Place("d drive", 0), Place("ones", 0)
        if self.features is not None:
            sizes = self.features, self.drive_width
            operations.append(Gradient(Place("inputs", 0), drive, "gradient inputs", sizes))
        if recurrence.like_drive:
            operations.append(Gradient(ones, drive, "total drive", (1, self.drive_width)))
        for name in sorted(recurrence.weights - recurrence.like_drive):
            width = max(1, recurrence.step.weights[name]) * units
            operations.append(Gradient(ones, Place(f"d weight {name}", 0), f"total {name}", (1, width)))
        return Sequence(fills, operations, units, backwards=True)
