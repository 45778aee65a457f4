"""From a step function in torch to operations on numbered elements.

The function is run once on one state while torch writes down what it calls. What moves numbers about (views, cat, roll,
indexing by constants) is then run on a tensor of element numbers, so that no copy is left in the graph.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from aelle_core.lyapunov.compiled.graph import Graph, NotCompilableError, Operation
from aelle_core.lyapunov.compiled.vocabulary import CHAINED, EXACT, MOVING, POINTWISE, STILL
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic

MOST_ELEMENTS = 200_000  # of a step: beyond, torch's products are as fast


def trace(step: Callable[[Tensor | None, Tensor], Tensor], x: Tensor | None, state: Tensor) -> Graph:
    """Return the graph of a step, traced on x (1, features), or None, and a state (1, size), in float64.

    Raises NotCompilableError on control flow that hangs on values, on operations that have no rule here, and on numbers
    of other types.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    arithmetic = WatchedArithmetic(state, traced=True)

    def watched(*given: Tensor) -> Tensor:
        with arithmetic:
            return step(given[0].clone() if x is not None else None, given[-1].clone())

    given = (state,) if x is None else (x, state)
    try:
        with torch.no_grad():
            module = make_fx(torch.func.functionalize(watched, remove="mutations_and_views"))(*given)
    except Exception as error:  # whatever a person's function does when its numbers are watched
        raise NotCompilableError(str(error).split("\n")[0]) from error
    reader = _Reader(module, 0 if x is None else x.shape[1], state.shape[1])
    return reader.read([*([] if x is None else [reader.inputs]), reader.state])


class _Numbered:
    """A tensor of the step, as a tensor of element numbers."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers


class _Reader:
    """Reads a traced graph node by node."""

    def __init__(self, module: fx.GraphModule, features: int, size: int) -> None:
        self.module = module
        self.graph = Graph(size, features, elements=1 + size + features)
        self.moves = [False, *[True] * size, *[False] * features]
        self.state = _Numbered(torch.tensor([list(self.graph.state)]))
        self.inputs = _Numbered(torch.tensor([list(self.graph.inputs)]))
        self.scalars: dict[float, int] = {0.0: 0}
        self.known: dict[int, tuple[Tensor, Tensor]] = {}  # constant tensors that have numbers, by identity

    def read(self, given: Sequence[_Numbered]) -> Graph:
        values: dict[fx.Node, Any] = {}
        placeholders = iter(given)
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(placeholders)
            elif node.op == "get_attr":
                values[node] = getattr(self.module, str(node.target)).detach()
            elif node.op == "call_function":
                arguments = fx.node.map_arg(node.args, lambda argument: values[argument])
                options = fx.node.map_arg(node.kwargs, lambda argument: values[argument])
                values[node] = self._call(node, arguments, options)
            elif node.op == "output":
                (result,) = node.args if not isinstance(node.args[0], tuple | list) else node.args[0]
                self.graph.results = self._numbers(values[result]).flatten().numpy().astype(np.int64)
            if self.graph.elements > MOST_ELEMENTS:
                raise NotCompilableError(f"more than {MOST_ELEMENTS} numbers in a step")
        if len(self.graph.results) != self.graph.size:
            raise NotCompilableError(f"a new state of size {len(self.graph.results)}, not {self.graph.size}")
        return self.graph

    def _call(self, node: fx.Node, arguments: Any, options: dict[str, Any]) -> Any:
        if not any(isinstance(argument, _Numbered) for argument in _flat((arguments, options))):
            return node.target(*arguments, **options)  # type: ignore[operator]
        target = str(node.target)
        if not target.startswith("aten.") and getattr(node.target, "__name__", "") == "getitem":
            return arguments[0][arguments[1]]
        name = target.removeprefix("aten.").split(".")[0]
        self._check_type(node, name)
        if name in ("detach", "detach_copy"):
            return self._made("copy", [arguments[0]], moves=False)
        if name == "where" and isinstance(arguments[0], Tensor):
            return _Numbered(torch.where(arguments[0], self._numbers(arguments[1]), self._numbers(arguments[2])))
        if name in MOVING:
            return self._moved(node, name, arguments, options)
        if name == "constant_pad_nd":
            fill = self._number_of(float(arguments[2])) if len(arguments) > 2 else 0
            return _Numbered(torch.constant_pad_nd(self._numbers(arguments[0]), list(arguments[1]), fill))
        if name in ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full"):
            like = torch.zeros(self._numbers(arguments[0]).shape, dtype=torch.float64)
            if name == "empty_like":  # what is read of it before it is written is no number of the step's
                return like
            return node.target(like, *arguments[1:], **{**options, "dtype": torch.float64})  # type: ignore[operator]
        if name in _RULES:
            return _RULES[name](self, *arguments, **options)
        if name in CHAINED:
            return self._chained(CHAINED[name], *arguments, **options)
        if name in POINTWISE:
            return self._pointwise(name, *arguments, **options)
        raise NotCompilableError(f"torch's {target.removeprefix('aten.')}")

    @staticmethod
    def _check_type(node: fx.Node, name: str) -> None:
        value = node.meta.get("val")
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, Tensor) and part.dtype not in (torch.float64, torch.bool):
                raise NotCompilableError(f"{name} in {part.dtype}")

    def _numbers(self, given: Any) -> Tensor:
        """Element numbers of a tensor or a number; constants get theirs now."""
        if isinstance(given, _Numbered):
            return given.numbers
        if isinstance(given, bool | int | float):
            return torch.tensor(self._number_of(float(given)))
        if not isinstance(given, Tensor) or given.is_complex():
            raise NotCompilableError(f"a {type(given).__name__} among the operands")
        if id(given) in self.known:
            return self.known[id(given)][1]
        values = given.detach().double().cpu()
        if not bool(values.any()):
            numbers = torch.zeros(values.shape, dtype=torch.int64)
        else:
            first = self._new(values.numel(), False)
            numbers = torch.arange(first, first + values.numel()).view(values.shape)
            self.graph.constants |= dict(zip(numbers.flatten().tolist(), values.flatten().tolist(), strict=True))
        self.known[id(given)] = (given, numbers)  # holding the tensor keeps its identity from another
        return numbers

    def _number_of(self, value: float) -> int:
        if value not in self.scalars:
            self.scalars[value] = self._new(1, False)
            self.graph.constants[self.scalars[value]] = value
        return self.scalars[value]

    def _new(self, count: int, moves: bool) -> int:
        first = self.graph.elements
        self.graph.elements += count
        self.moves += [moves] * count
        return first

    def _moved(self, node: fx.Node, name: str, arguments: Any, options: dict[str, Any]) -> Any:
        def number(argument: Any) -> Any:
            if isinstance(argument, _Numbered):
                return argument.numbers
            if isinstance(argument, Tensor) and (argument.is_floating_point() or name in ("cat", "stack")):
                return self._numbers(argument)
            if name == "fill" and isinstance(argument, int | float):
                return self._number_of(float(argument))
            return [number(part) for part in argument] if isinstance(argument, tuple | list) else argument

        if name in ("_to_copy", "clone", "lift_fresh_copy", "alias"):
            return arguments[0]
        moved = node.target(*map(number, arguments), **{key: number(option) for key, option in options.items()})  # type: ignore[operator]
        if isinstance(moved, Tensor):
            return _Numbered(moved)
        return [_Numbered(part) for part in moved]

    def _pointwise(self, name: str, *operands: Any, alpha: Any = 1, **options: Any) -> Any:
        kind, order = POINTWISE[name]
        if options:
            raise NotCompilableError(f"{name} with {', '.join(options)}")
        given = list(operands)
        if alpha != 1:  # of the second of two
            given[1] = self._made("mul", [given[1], alpha])
        if order is not None and len(given) != len(order):
            raise NotCompilableError(f"{name} of {len(given)} arguments")
        return self._made(kind, given if order is None else [given[index] for index in order])

    def _made(self, kind: str, operands: Sequence[Any], moves: bool = True) -> _Numbered:
        numbers = torch.broadcast_tensors(*map(self._numbers, operands))
        return self._operation(kind, [operand.flatten() for operand in numbers], numbers[0].shape, moves)

    def _operation(self, kind: str, operands: Sequence[Tensor], shape: Sequence[int], moves: bool = True) -> _Numbered:
        arrays = tuple(np.ascontiguousarray(operand.numpy().astype(np.int64)) for operand in operands)
        known = np.asarray(self.moves)
        moves = moves and kind not in STILL and any(bool(known[array].any()) for array in arrays)
        first = self._new(len(arrays[0]), moves)
        if len(arrays[0]):
            self.graph.operations.append(Operation(kind, first, arrays, moves, kind in EXACT))
        return _Numbered(torch.arange(first, first + len(arrays[0])).view(*shape))

    def _chained(self, kind: str, given: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> _Numbered:
        rows, shape = self._reduced(given, dim, keepdim)
        total = _Numbered(rows[:, 0])
        for column in rows[:, 1:].unbind(1):
            total = self._made(kind, [total, _Numbered(column)])
        return _Numbered(total.numbers.view(shape))

    def _reduced(self, given: Any, dim: Any, keepdim: bool) -> tuple[Tensor, list[int]]:
        """(results, terms) element numbers of a reduction, and the result's shape."""
        numbers = self._numbers(given)
        if dim is None or (isinstance(dim, list | tuple) and not dim):
            dims = list(range(numbers.dim()))
        else:
            dims = [axis % numbers.dim() for axis in (dim if isinstance(dim, list | tuple) else [dim])]
        rest = [axis for axis in range(numbers.dim()) if axis not in dims]
        shape = [1 if axis in dims else size for axis, size in enumerate(numbers.shape)]
        if not keepdim:
            shape = [numbers.shape[axis] for axis in rest]
        count = int(np.prod([numbers.shape[axis] for axis in rest], dtype=np.int64))
        return numbers.permute(*rest, *dims).reshape(count, -1), shape

    def sum(self, given: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> _Numbered:
        rows, shape = self._reduced(given, dim, keepdim)
        return self._operation("sum", [rows], shape)

    def mean(self, given: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> _Numbered:
        rows, shape = self._reduced(given, dim, keepdim)
        return self._made("div", [self._operation("sum", [rows], shape), rows.shape[1]])

    def power(self, base: Any, exponent: Any) -> _Numbered:
        if not isinstance(exponent, _Numbered | Tensor) and exponent in (2, 3):
            square = self._made("mul", [base, base])
            return square if exponent == 2 else self._made("mul", [square, base])
        return self._made("pow", [base, exponent])

    def product(self, left: Any, right: Any) -> _Numbered:
        """Return a product of matrices (..., rows, inner) (..., inner, columns)."""
        a, b = self._numbers(left), self._numbers(right)
        rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
        shape = (*a.shape[:-1], columns)
        whole = (*a.shape[:-2], rows, columns, inner)
        pairs = [factor.expand(whole).reshape(-1, inner) for factor in (a.unsqueeze(-2), b.mT.unsqueeze(-3))]
        return self._operation("dot", pairs, shape)

    def vectors(self, left: Any, right: Any) -> _Numbered:
        """Return a matrix, or a vector, times a vector."""
        a, b = self._numbers(left), self._numbers(right)
        product = self.product(_Numbered(a if a.dim() > 1 else a.unsqueeze(0)), _Numbered(b.unsqueeze(-1))).numbers
        return _Numbered(product.squeeze(-1) if a.dim() > 1 else product.view(()))

    def added_product(self, addend: Any, left: Any, right: Any, *, beta: Any = 1, alpha: Any = 1) -> _Numbered:
        if beta != 1 or alpha != 1:
            raise NotCompilableError("a product with factors")
        product = self.vectors if self._numbers(right).dim() == 1 else self.product
        return self._made("add", [addend, product(left, right)])

    def clamp(self, given: Any, least: Any = None, most: Any = None) -> Any:
        raised = given if least is None else self._made("maximum", [given, least])
        return raised if most is None else self._made("minimum", [raised, most])

    def fused(self, addend: Any, left: Any, right: Any, *, value: Any = 1, kind: str) -> _Numbered:
        product = self._made(kind, [left, right])
        return self._made("add", [addend, product if value == 1 else self._made("mul", [product, value])])

    def interpolated(self, start: Any, end: Any, weight: Any) -> _Numbered:
        return self._made("add", [start, self._made("mul", [weight, self._made("sub", [end, start])])])

    def leaky(self, given: Any, slope: Any = 0.01) -> _Numbered:
        positive = self._made("gt", [given, 0.0])
        return self._made("where", [positive, given, self._made("mul", [given, slope])])

    def softplus(self, given: Any, beta: Any = 1, threshold: Any = 20) -> _Numbered:
        if beta != 1:
            raise NotCompilableError("softplus with beta")
        return self._made("softplus", [given])

    def norm(self, given: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, **options: Any) -> _Numbered:
        if ord != 2:
            raise NotCompilableError(f"a norm of order {ord}")
        rows, shape = self._reduced(given, dim, keepdim)
        return self._made("sqrt", [self._operation("dot", [rows, rows], shape)])


_RULES: dict[str, Callable[..., Any]] = {
    "sum": _Reader.sum,
    "mean": _Reader.mean,
    "pow": _Reader.power,
    **dict.fromkeys(("mm", "bmm"), _Reader.product),
    **dict.fromkeys(("mv", "dot"), _Reader.vectors),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _Reader.added_product),
    **dict.fromkeys(("clamp", "clamp_min"), _Reader.clamp),
    "clamp_max": lambda reader, given, most: reader.clamp(given, None, most),
    "hardtanh": lambda reader, given, least=-1, most=1: reader.clamp(given, least, most),
    "addcmul": lambda *given, **options: _Reader.fused(*given, **options, kind="mul"),
    "addcdiv": lambda *given, **options: _Reader.fused(*given, **options, kind="div"),
    "lerp": _Reader.interpolated,
    "leaky_relu": _Reader.leaky,
    "softplus": _Reader.softplus,
    "linalg_vector_norm": _Reader.norm,
}


def _flat(values: Any) -> list[Any]:
    values = list(values.values()) if isinstance(values, dict) else values
    return [leaf for value in values for leaf in _flat(value)] if isinstance(values, tuple | list) else [values]
