"""What is compiled for a cell: its step forward, with what the backward pass needs kept, and the step backward."""

from collections.abc import Iterable, Mapping

from aelle_core.training.compiler import expressions as e
from aelle_core.training.compiler.adjoint import differentiate, used_weights
from aelle_core.training.compiler.expressions import Expression, Leaf
from aelle_core.training.compiler.schedule import Location, arrange
from aelle_core.training.compiler.trace import Columns, TracedStep


class Recurrence:
    """The step of one cell, taken apart.

    Arrays are named as in the trace: `drive`, `noise`, `weight NAME`, `product NUMBER`; `state PART` is the state
    before the step and `new PART` the one after it; `operand NUMBER` an operand that is neither; `kept NUMBER` what
    the forward pass leaves for the backward pass; what the backward pass reads and writes is named in `Backward`.

    forward   the step without keeping anything        training  the same, keeping what `backward` reads
    backward  the adjoint of one step                  weights   the pointwise weights whose adjoint it gives; for those
                                                                 that are `like_drive` it is `d drive`
    """

    def __init__(self, step: TracedStep, trained: Iterable[str], every: bool) -> None:
        self.step = step
        self.every = every
        self.weights = used_weights(step) & set(trained)
        adjoint = differentiate(step, self.weights, every)
        # The adjoint of a bias that is added to the drive is the drive's.
        outputs = adjoint.outputs
        self.like_drive = {name for name in self.weights if outputs[f"d weight {name}"] == outputs["d drive"]}
        outputs = {key: columns for key, columns in outputs.items() if key.split()[-1] not in self.like_drive}
        self.arrivals = adjoint.arrivals
        news = {f"new {part}": columns for part, columns in step.outputs.items()}
        given = {columns[0]: Location(name, 0) for name, columns in news.items()}
        wanted = [*outputs.values(), *(product.operand for product in adjoint.products)]
        needed = _needed(wanted, given)
        kept = {
            f"kept {number}": (expression,)
            for number, expression in enumerate(expression for expression in needed if expression not in given)
        }
        known = {columns[0]: Location(name, 0) for name, columns in kept.items()}
        known |= {expression: location for expression, location in given.items() if expression in needed}
        self.forward = arrange(news, step.products, {}, "operand")
        self.training = arrange({**news, **kept}, step.products, {}, "operand")
        self.backward = arrange(outputs, adjoint.products, known, "d product")


def _needed(outputs: Iterable[Columns], given: Mapping[Expression, Location]) -> list[Expression]:
    """Return what the backward pass wants from the forward pass: what is `given` anyway, results of products and of
    dear operations. All else it computes again."""
    needed: dict[Expression, None] = {}
    seen: set[Expression] = set()
    per_network: dict[Expression, bool] = {}

    def one_for_a_network(expression: Expression) -> bool:
        if expression not in per_network:
            if isinstance(expression.value, Leaf):
                per_network[expression] = expression.value.spread
            else:
                per_network[expression] = all(map(one_for_a_network, expression.arguments))
        return per_network[expression]

    def backward(expression: Expression) -> bool:
        """Whether anything of the backward pass is in it."""
        if isinstance(expression.value, Leaf):
            return expression.value.array.startswith(("d ", "later "))
        return any(map(backward, expression.arguments))

    def visit(expression: Expression) -> None:
        if expression in seen or one_for_a_network(expression):
            return
        seen.add(expression)
        product = isinstance(expression.value, Leaf) and expression.value.array.startswith("product ")
        if expression in given or product or (expression.operation in e.DEAR and not backward(expression)):
            needed[expression] = None
            return
        for argument in expression.arguments:
            visit(argument)

    for columns in outputs:
        for column in columns:
            visit(column)
    return list(needed)
