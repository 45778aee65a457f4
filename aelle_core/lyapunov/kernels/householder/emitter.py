"""What the kernel's compiled functions have in common."""

from collections.abc import Sequence
from typing import Any

from numba import njit
from numba.core import types

from aelle_core.foundation.vector_instructions import INDEX, LANE, Emitter, lanes

__all__ = [
    "COMPILED",
    "INDEX",
    "LANE",
    "PANEL",
    "Emitter",
    "allocating",
    "compiled",
    "lanes",
    "pointers",
    "returns_nothing",
]

PANEL = 8  # reflectors that are applied together
COMPILED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
allocating = njit(**COMPILED)
# Arrays live as long as the entry point's call. To count who refers to them takes a tenth of the time of small systems.
_UNCOUNTED: dict[str, Any] = {"_nrt": False, **COMPILED}
compiled = njit(**_UNCOUNTED)


def pointers(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> list[Any]:
    """Arrays become pointers to their first element; numbers stay."""
    return [
        context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def returns_nothing(arrays_and_numbers: Sequence[Any]) -> Any:
    """The signature of a loop that changes its arrays in place; numbers are indices."""
    return types.void(*[kind if isinstance(kind, types.Array) else types.intp for kind in arrays_and_numbers])
