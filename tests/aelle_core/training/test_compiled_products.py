"""The compiled way: its small products against numpy's."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba.core import types

from aelle_core.foundation.machine_code import compile_module
from aelle_core.foundation.vector_instructions import INDEX, Emitter
from aelle_core.training.compiler.emit.products import emit_gradient, emit_product

_FLOATS = ir.FloatType().as_pointer()
# Rows in blocks and alone; columns in whole vectors, in part of one, and in several blocks.
SIZES = [(1, 1, 1), (4, 3, 16), (5, 7, 17), (32, 28, 64), (33, 64, 200), (3, 130, 31), (7, 2, 15)]


def compiled(emit_into: Callable[..., None], sizes: tuple[int, int]) -> tuple[object, Callable[..., None]]:
    """A function of three arrays, each with its stride over rows, and a number of rows; and what keeps it alive."""
    module = ir.Module("test")
    kind = ir.FunctionType(ir.VoidType(), [_FLOATS, INDEX, _FLOATS, INDEX, _FLOATS, INDEX, INDEX])
    function = ir.Function(module, kind, "test")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit_into(Emitter(builder, types.float32), *function.args, sizes)
    builder.ret_void()
    engine = compile_module(module)
    arguments = [ctypes.c_void_p, ctypes.c_int64] * 3 + [ctypes.c_int64]
    return engine, ctypes.CFUNCTYPE(None, *arguments)(engine.get_function_address("test"))


def place(array: np.ndarray) -> tuple[Any, int]:
    return array.ctypes.data, array.strides[0] // 4


def random(rows: int, columns: int, wider: int = 0) -> np.ndarray:
    """Rows that do not lie one after the other where they are `wider`."""
    return np.random.default_rng(rows).standard_normal((rows, columns + wider)).astype(np.float32)[:, :columns]


@pytest.mark.parametrize(("rows", "inner", "columns"), SIZES)
def test_products(rows: int, inner: int, columns: int) -> None:
    def emit(
        emitter: Emitter, left: Any, by: Any, right: Any, _: Any, result: Any, to: Any, count: Any, sizes: Any
    ) -> None:
        emit_product(emitter, left, by, right, result, to, count, sizes)

    _engine, function = compiled(emit, (inner, columns))
    left, right, result = (
        random(rows, inner, 3),
        random(inner, columns),
        np.full((rows + 1, columns + 2), 7, np.float32),
    )
    function(*place(left), *place(right), *place(result), rows)
    expected = left.astype(float) @ right.astype(float)
    np.testing.assert_allclose(result[:rows, :columns], expected, atol=1e-6 * inner, rtol=1e-5)
    assert (result[rows] == 7).all()
    assert (result[:, columns:] == 7).all()


@pytest.mark.parametrize(("rows", "inner", "columns"), SIZES)
def test_gradients_are_added(rows: int, inner: int, columns: int) -> None:
    def emit(
        emitter: Emitter, left: Any, by: Any, right: Any, to: Any, result: Any, _: Any, count: Any, sizes: Any
    ) -> None:
        emit_gradient(emitter, left, by, right, to, result, count, sizes)

    _engine, function = compiled(emit, (inner, columns))
    left, right, result = random(rows, inner, 3), random(rows, columns, 5), np.full((inner + 1, columns), 7, np.float32)
    for _ in range(2):
        function(*place(left), *place(right), *place(result), rows)
    expected = 7 + 2 * left.astype(float).T @ right.astype(float)
    np.testing.assert_allclose(result[:inner], expected, atol=2e-6 * rows, rtol=1e-5)
    assert (result[inner] == 7).all()
