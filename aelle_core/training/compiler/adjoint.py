"""The backward pass of a step, from its expressions: reverse accumulation through pointwise work and products."""

from collections import defaultdict
from dataclasses import dataclass
from functools import reduce

from aelle_core.training.compiler import expressions as e
from aelle_core.training.compiler.expressions import Expression, Leaf
from aelle_core.training.compiler.trace import Columns, NotTraceableError, Product, TracedStep


@dataclass(frozen=True)
class Backward:
    """One step of the backward pass, from the last step of time to the first.

    The adjoint of a new part is what the step after it has left: `later rest PART` plus the `later operand NUMBER` of
    the forward products whose operand is that part (`arrivals`), plus `d output` of the first part where every step
    is read out. `outputs` are `d rest PART` (absent where it is zero), `d drive` and `d weight NAME` for pointwise
    weights. The products' operands are the adjoints of the forward products, their results `d operand NUMBER`.
    """

    outputs: dict[str, Columns]
    products: tuple[Product, ...]
    arrivals: dict[str, tuple[str, ...]]


def differentiate(step: TracedStep, weights: set[str], every: bool) -> Backward:
    """Return the backward pass of a step, with the adjoints of the pointwise `weights`.

    Raises NotTraceableError when the first part does not depend on the state, so that nothing flows back.
    """
    adjoint: dict[Expression, list[Expression]] = defaultdict(list)
    to_state = {
        part: [number for number, product in enumerate(step.products) if product.operand == (e.leaf(f"state {part}"),)]
        for part in step.outputs
    }
    # The rests are found with seeds of any kind in place: whether one is zero depends on the step alone.
    rests = dict.fromkeys(step.outputs, True)
    for _ in range(2):
        adjoint.clear()
        arrivals = {
            part: (
                *((f"later rest {part}",) if rests[part] else ()),
                *(f"later operand {number}" for number in to_state[part]),
            )
            for part in step.outputs
        }
        for index, (part, columns) in enumerate(step.outputs.items()):
            for array in (*arrivals[part], *(("d output",) if every and index == 0 else ())):
                adjoint[columns[0]].append(e.leaf(array))
        total = _accumulate(step, adjoint)
        rests = {part: e.leaf(f"state {part}") in total for part in step.outputs}
    if not all(arrivals.values()):
        raise NotTraceableError("a part of the state on which the next step does not depend")

    def of(array: str, columns: int) -> Columns:
        leaves = [e.leaf(array, spread=True)] if columns == 0 else [e.leaf(array, column) for column in range(columns)]
        return tuple(total.get(leaf, e.constant(0.0)) for leaf in leaves)

    outputs = {f"d rest {part}": of(f"state {part}", 1) for part in step.outputs if rests[part]}
    outputs["d drive"] = of("drive", step.drive_columns)
    outputs |= {f"d weight {name}": of(f"weight {name}", step.weights[name]) for name in sorted(weights)}
    products = tuple(
        Product(
            tuple(total.get(result, e.constant(0.0)) for result in product.results),
            product.weight,
            not product.transposed,
            tuple(e.leaf(f"d operand {number}", column) for column in range(len(product.operand))),
        )
        for number, product in enumerate(step.products)
    )
    return Backward(outputs, products, arrivals)


def _accumulate(step: TracedStep, adjoint: dict[Expression, list[Expression]]) -> dict[Expression, Expression]:
    """Return the adjoint of everything in the step. Operands that are the old state alone get what comes through their
    product one step later, in the sum of arrivals; all other operands get it here."""
    through_products: dict[Expression, list[Expression]] = defaultdict(list)
    operands: dict[Expression, Columns] = {}
    for number, product in enumerate(step.products):
        operands.update(dict.fromkeys(product.results, product.operand))
        if not is_state(product.operand):
            for column, operand in enumerate(product.operand):
                through_products[operand].append(e.leaf(f"d operand {number}", column))
    total: dict[Expression, Expression] = {}
    for expression in reversed(_in_order(step, operands)):
        shares = [*adjoint.get(expression, ()), *through_products.get(expression, ())]
        if not shares:
            continue
        total[expression] = reduce(e.add, shares)
        if expression.arguments:
            adjoints = e.adjoints(expression, total[expression])
            for argument, share in zip(expression.arguments, adjoints, strict=True):
                adjoint[argument].append(share)
    return total


def is_state(operand: Columns) -> bool:
    """Return whether the operand is a part of the old state and nothing else."""
    value = operand[0].value
    return len(operand) == 1 and isinstance(value, Leaf) and value.array.startswith("state ")


def used_weights(step: TracedStep) -> set[str]:
    """Pointwise weights that the step reads itself, not through its drive."""
    leaves = {expression.value.array for expression in _in_order(step, {}) if isinstance(expression.value, Leaf)}
    return {name for name in step.weights if f"weight {name}" in leaves}


def _in_order(step: TracedStep, operands: dict[Expression, Columns]) -> list[Expression]:
    """Everything in the step, what it depends on first; a product's result depends on its operand."""
    seen: dict[Expression, None] = {}

    def visit(expression: Expression) -> None:
        if expression in seen:
            return
        for other in (*expression.arguments, *operands.get(expression, ())):
            visit(other)
        seen[expression] = None

    for columns in step.outputs.values():
        visit(columns[0])
    for product in step.products:
        for operand in product.operand:
            visit(operand)
    return list(seen)
