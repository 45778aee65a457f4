"""The equations of the package dysts, read from its files as functions of tensors."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor


def classes_of(source: str) -> dict[str, Any]:
    """Return what a file of equations defines, with torch's functions in place of NumPy's and without its imports."""
    tree = ast.parse(source)
    tree.body = [statement for statement in tree.body if not isinstance(statement, ast.Import | ast.ImportFrom)]
    tree = ast.fix_missing_locations(_FloorDivisions().visit(tree))
    names: dict[str, Any] = {
        "__name__": __name__,
        "np": _Functions(),
        "staticjit": staticmethod,
        "max": _extreme(max, torch.maximum),
        "min": _extreme(min, torch.minimum),
        "floor_divide": lambda left, right: torch.floor(left / right) if _has_tensor((left, right)) else left // right,
        **{base: type(base, (), {}) for base in ("DynSys", "DynMap", "DynSysDelay")},
    }
    exec(compile(tree, "dysts", "exec"), names)
    return names


def as_constant(value: Any) -> Any:
    """Return a parameter as equations on vectors take it: a list as a tensor."""
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value


class _FloorDivisions(ast.NodeTransformer):
    """a // b becomes a call: torch cannot differentiate its own in forward mode."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.FloorDiv):
            return node
        return ast.Call(ast.Name("floor_divide", ast.Load()), [node.left, node.right], [])


class _Functions:
    """NumPy's names for torch's functions, on tensors; on numbers NumPy's own."""

    _called: ClassVar[Mapping[str, str]] = {"arctan2": "atan2", "arccos": "acos", "arctan": "atan", "arcsin": "asin"}
    _of_vectors: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "array": lambda values, *_: list(values),
        "asarray": lambda values, *_: list(values),
        "hstack": lambda values: torch.cat(list(values)) if values[0].dim() else list(values),
        "heaviside": lambda x, at_zero: torch.where(x == 0, at_zero, (x > 0).to(x)),
        "matmul": lambda left, right: left @ right,
        "dot": lambda left, right: (left * right).sum(-1),
        "min": lambda values, axis=-1: torch.amin(values, dim=axis),
        "max": lambda values, axis=-1: torch.amax(values, dim=axis),
        "sum": lambda values, axis=-1: torch.sum(values, dim=axis),
        "zeros_like": lambda values: values * 0,  # a copy that may be written into
        "copy": lambda values: values.clone(),
    }

    def __getattr__(self, name: str) -> Any:
        plain = getattr(np, name)
        if not callable(plain):
            return plain

        def function(*given: Any, **options: Any) -> Any:
            if not _has_tensor(given):
                made = plain(*given, **options)
                return torch.from_numpy(made).double() if isinstance(made, np.ndarray) else made
            if name in self._of_vectors:
                return self._of_vectors[name](*given, **options)
            return getattr(torch, self._called.get(name, name))(*_as_tensors(given), **options)

        return function


def _extreme(plain: Callable[..., Any], of_tensors: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    """Python's max or min, on two tensors or a tensor and a number too."""

    def function(*given: Any) -> Any:
        if len(given) != 2 or not _has_tensor(given):
            return plain(*given)
        return of_tensors(*_as_tensors(given))

    return function


def _as_tensors(given: Sequence[Any]) -> list[Tensor]:
    """Numbers among tensors, as tensors of their shape."""
    like = next(argument for argument in _flat(given) if isinstance(argument, Tensor))
    return [argument if isinstance(argument, Tensor) else torch.full_like(like, argument) for argument in given]


def _has_tensor(given: Sequence[Any]) -> bool:
    return any(isinstance(argument, Tensor) for argument in _flat(given))


def _flat(given: Sequence[Any]) -> list[Any]:
    return [leaf for entry in given for leaf in (_flat(entry) if isinstance(entry, list | tuple) else [entry])]
