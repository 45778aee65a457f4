"""Parts of compiled code that are functions of their own."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from aelle_core.foundation.vector_instructions import Emitter


def call(emit: Emitter, name: str, body: Callable[..., None], arguments: Sequence[Any]) -> None:
    """body(emit, *arguments) as a function, which all calls of that name share: LLVM's time grows faster than what is
    in one function."""
    module = emit.builder.module
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments]), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        body(Emitter(builder, types.float32), *function.args)
        builder.ret_void()
    emit.builder.call(function, arguments)
