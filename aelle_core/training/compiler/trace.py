"""From a cell's step, as it is written in torch, to products and pointwise expressions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from aelle_core.cells import Cell
from aelle_core.training.compiler import expressions as e
from aelle_core.training.compiler.expressions import Expression

Columns = tuple[Expression, ...]
"""A tensor (networks, batch, columns * units) as one expression for each column."""


class NotTraceableError(Exception):
    """The step does something that has no pointwise expression here; the message says what."""


@dataclass(frozen=True)
class Product:
    """`results` = operand times the weight matrix, or its transposed where `transposed`."""

    operand: Columns
    weight: str
    transposed: bool
    results: Columns


@dataclass(frozen=True, eq=False)
class TracedStep:
    """One step: the columns of each new part, and the products on the way in the order they are computed.

    `drive` is the array of the inputs times the weight `input_weight` (its transposed where `input_transposed`); what
    the cell's drive adds to that is part of the expressions.
    """

    outputs: dict[str, Columns]
    products: tuple[Product, ...]
    input_weight: str
    input_transposed: bool
    drive_columns: int
    weights: dict[str, int]  # pointwise weights -> columns, 0 for one number per network


_INPUTS: Columns = (e.leaf("inputs"),)


@dataclass(frozen=True)
class _Matrix:
    name: str
    transposed: bool


def trace_step(cell: Cell, weights: dict[str, Tensor]) -> TracedStep:
    """Return the step of `cell` in training with its drive, traced on small tensors shaped like its weights for two
    networks.

    Raises NotTraceableError when one of them does what cannot be expressed.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    units, networks, batch = cell.units, 2, 3
    given = {name: torch.zeros(networks, *value.shape[1:]) for name, value in weights.items()}
    state = {part: torch.zeros(networks, batch, units) for part in cell.parts}
    inputs = torch.zeros(networks, batch, cell.input_size)
    drive_width = cell.drive(given, inputs).shape[-1]
    drive = torch.zeros(networks, batch, drive_width)
    noise = torch.zeros(networks, batch, cell.noise_channels * units) if cell.noise_channels else None

    def step(weights: dict[str, Tensor], drive: Tensor, state: dict[str, Tensor], noise: Tensor | None) -> list[Tensor]:
        new = cell.step(weights, drive, state, noise)
        return [new[part] for part in cell.parts]

    pointwise = {
        name: 0 if value.shape[-1] == 1 else value.shape[-1] // units
        for name, value in given.items()
        if value.shape[1] == 1
    }
    known = [
        _leaves(f"weight {name}", pointwise[name]) if name in pointwise else _Matrix(name, False) for name in given
    ]
    driver = _Reader(units)
    ((driven,),) = [driver.run(make_fx(lambda w, x: [cell.drive(w, x)])(given, inputs).graph, [*known, _INPUTS])]
    if len(driver.products) != 1 or driver.products[0].operand != _INPUTS:
        raise NotTraceableError("a drive that is not one product of the inputs")
    drive_product = driver.products[0]
    renamed = dict(zip(drive_product.results, _leaves("drive", drive_width // units), strict=True))
    names: list[Any] = [
        *known,
        tuple(e.replace(expression, renamed) for expression in driven),
        *(_leaves(f"state {part}", 1) for part in cell.parts),
        _leaves("noise", cell.noise_channels) if noise is not None else (),
    ]
    reader = _Reader(units)
    results = reader.run(make_fx(step)(given, drive, state, noise).graph, names)
    outputs = {part: _broadcast(result, 1) for part, result in zip(cell.parts, results, strict=True)}
    products = tuple(reader.products)
    return TracedStep(
        outputs, products, drive_product.weight, drive_product.transposed, drive_width // units, pointwise
    )


def _leaves(array: str, columns: int) -> Columns:
    if columns == 0:
        return (e.leaf(array, spread=True),)
    return tuple(e.leaf(array, column) for column in range(columns))


def _broadcast(value: Any, columns: int) -> Columns:
    if isinstance(value, _Matrix):
        raise NotTraceableError(f"the matrix {value.name!r} outside of a product")
    if isinstance(value, int | float):
        return (e.constant(value),) * columns
    return value * columns if len(value) == 1 else value


class _Reader:
    """Gives each call of the traced graph its columns, and collects the products."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.products: list[Product] = []

    def run(self, graph: fx.Graph, given: list[Any]) -> list[Any]:
        """Return what the graph returns, for what is given in place of its placeholders."""
        values: dict[fx.Node, Any] = {}
        placeholders = iter(given)
        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = next(placeholders)
            elif node.op == "output":
                return [values[result] for result in node.args[0]]
            elif node.op == "call_function":
                arguments = fx.node.map_arg(node.args, lambda argument: values[argument])
                options = fx.node.map_arg(node.kwargs, lambda argument: values[argument])
                values[node] = self.read(node, arguments, options)
            else:
                raise NotTraceableError(f"{node.op} {node.target}")
        raise NotTraceableError("a graph without an output")

    def read(self, node: fx.Node, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        name = str(node.target).removeprefix("aten.")
        columns = max((len(value) for value in arguments if isinstance(value, tuple)), default=1)
        if name.split(".")[0] in _POINTWISE:
            operands = [_broadcast(value, columns) for value in arguments]
            factor = e.constant(options.get("alpha", options.get("value", 1.0)))
            rule = _POINTWISE[name.split(".")[0]]
            return tuple(rule(*arguments, factor) for arguments in zip(*operands, strict=True))
        if name == "transpose.int" and isinstance(arguments[0], _Matrix):
            return _Matrix(arguments[0].name, not arguments[0].transposed)
        if name == "baddbmm.default" and not options:
            addend, operand, matrix = arguments
            results = self._product(operand, matrix, node)
            return tuple(map(e.add, _broadcast(addend, len(results)), results))
        if name == "bmm.default":
            operand, matrix = arguments
            return self._product(operand, matrix, node)
        if name == "slice.Tensor" and self._along_units(node):
            _, _, start, end = arguments
            width = self._width(node.args[0])
            end = width + end if end < 0 else min(end, width)
            return arguments[0][self._column(start) : self._column(end)]
        if name == "split.Tensor" and self._along_units(node):
            size = self._column(arguments[1])
            return tuple(arguments[0][at : at + size] for at in range(0, len(arguments[0]), size))
        if getattr(node.target, "__name__", "") == "getitem":
            return arguments[0][arguments[1]]
        raise NotTraceableError(f"torch operation {name}")

    def _product(self, operand: Any, matrix: Any, node: fx.Node) -> Columns:
        if not isinstance(matrix, _Matrix) or isinstance(operand, _Matrix):
            raise NotTraceableError("a product without a weight matrix on its right")
        results = _leaves(f"product {len(self.products)}", self._column(self._width(node)))
        self.products.append(Product(operand, matrix.name, matrix.transposed, results))
        return results

    @staticmethod
    def _width(node: Any) -> int:
        return int(node.meta["val"].shape[-1])

    @staticmethod
    def _along_units(node: fx.Node) -> bool:
        dimension = node.args[2] if str(node.target) == "aten.split.Tensor" and len(node.args) > 2 else node.args[1]
        return dimension in (2, -1)

    def _column(self, column: int) -> int:
        if column % self.units:
            raise NotTraceableError(f"a slice at {column}, which is not a multiple of {self.units} units")
        return column // self.units


_POINTWISE: dict[str, Callable[..., Expression]] = {
    "add": lambda a, b, factor: e.add(a, e.multiply(factor, b)),
    "sub": lambda a, b, factor: e.subtract(a, e.multiply(factor, b)),
    "rsub": lambda a, b, factor: e.subtract(b, e.multiply(factor, a)),
    "mul": lambda a, b, factor: e.multiply(a, b),
    "div": lambda a, b, factor: e.divide(a, b),
    "neg": lambda a, factor: e.negate(a),
    "addcmul": lambda a, b, c, factor: e.add(a, e.multiply(factor, e.multiply(b, c))),
    "lerp": lambda a, b, weight, factor: e.add(a, e.multiply(weight, e.subtract(b, a))),
    "softplus": lambda a, beta, threshold, factor: e.function("softplus", a),  # beta 1, linear where it rounds to it
    **{name: (lambda a, factor, name=name: e.function(name, a)) for name in e.FUNCTIONS if name != "softplus"},
}
