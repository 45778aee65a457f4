"""What a person hands in, checked before any work starts."""

import numbers
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network
from aelle_core.foundation.errors import UserError

_COMPUTED = {"cpu", "cuda"}
_PLAIN = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_PLAIN |= {torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64}


def tensor_of(label: str, given: Tensor | np.ndarray) -> Tensor:
    """Return an array of any shape as a tensor, copied where torch cannot share its memory (byte order, strides,
    read-only, width); return a tensor unchanged. Raises UserError for what holds no numbers, and for tensors that
    are not plain memory."""
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "fiubc" or isinstance(given, np.ma.MaskedArray):
            kind = "with a mask" if isinstance(given, np.ma.MaskedArray) else f"of dtype {given.dtype}"
            raise UserError(f"{label} {kind}: expected real numbers")
        dtype = given.dtype.newbyteorder("=")
        if dtype.kind in "fu" and dtype.itemsize > {"f": 8, "u": 1}[dtype.kind]:
            dtype = np.dtype(np.float64)
        # Torch warns of read-only memory, and takes no negative strides, which numpy allows along a dimension of 1.
        shared = given.flags.writeable and min(given.strides, default=0) >= 0
        return torch.from_numpy(np.array(given, dtype=dtype, order="C", copy=None if shared else True))
    if given.layout != torch.strided or given.is_quantized or given.is_nested or given.device.type == "meta":
        what = "quantised" if given.is_quantized else "nested" if given.is_nested else given.layout
        raise UserError(f"{label} in a {what} tensor on {given.device}: expected a dense one that holds numbers")
    return given


def real_tensor_of(label: str, given: Tensor | np.ndarray) -> Tensor:
    """Return `tensor_of` of an array of any shape, detached, in a dtype that torch computes with. Raises UserError for
    complex numbers and truths."""
    tensor = tensor_of(label, given).detach()
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise UserError(f"{label} of dtype {given.dtype}: expected real numbers")
    return tensor if tensor.dtype in _PLAIN else tensor.double()


def checked_inputs(
    inputs: Any, features: int | None, dtype: torch.dtype | None, device: torch.device | str | None
) -> Tensor:
    """Return inputs as a tensor (batch, time, features), of `dtype` or as they are. Raises UserError for anything
    else."""
    if not isinstance(inputs, Tensor | np.ndarray):
        raise UserError(f"inputs are a {type(inputs).__name__}: expected a tensor or array (batch, time, features)")
    given = real_tensor_of("inputs", inputs)
    if given.dim() != 3 or 0 in given.shape or (features is not None and given.shape[2] != features):
        width = "features" if features is None else features
        raise UserError(f"inputs have shape {tuple(given.shape)}: expected (batch, time, {width}), none of them 0")
    given = given.to(device=checked_device(device or given.device), dtype=dtype)
    # The sum reads them once and makes nothing; where it overflows, they are looked at one by one.
    if not bool(given.sum(dtype=torch.float64).isfinite()) and not bool(given.isfinite().all()):
        raise UserError(f"inputs of shape {tuple(given.shape)} hold NaN or infinity: expected finite numbers")
    return given


def batch_first(layer: nn.Module, inputs: Any) -> Any:
    """Return the inputs of a torch layer, which stand as its forward takes them, as (batch, time, features)."""
    turned = isinstance(layer, nn.RNNBase) and not layer.batch_first
    if turned and isinstance(inputs, Tensor | np.ndarray) and inputs.ndim == 3:
        return inputs.transpose(0, 1) if isinstance(inputs, Tensor) else inputs.transpose(1, 0, 2)
    return inputs


def checked_device(device: torch.device | str | None) -> torch.device | None:
    """Raise UserError for what is no device, and for one that this machine does not have."""
    if device is None:
        return None
    expected = "'cpu' or 'cuda'" if torch.cuda.is_available() else "'cpu': there is no CUDA device here"
    try:
        chosen = torch.device(device)
        if chosen.type in _COMPUTED:
            torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"device={device!r}: expected {expected}") from error
    if chosen.type not in _COMPUTED:
        raise UserError(f"device={str(device)!r}: expected {expected}")
    return chosen


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether it is a whole number, Python's or numpy's; booleans do not count."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def checked_whole(label: str, value: int, low: int, high: int) -> int:
    """Return the whole number `value`. Raises UserError, naming it `label`, unless it is from `low` to `high`."""
    if not is_whole(value) or not low <= value <= high:
        raise UserError(f"{label}={value!r}: expected a whole number from {low} to {high}")
    return int(value)


def checked_length(length: int, steps: int | None) -> int:
    """Return `steps`, or the whole length. Raises UserError when there are fewer."""
    if steps is None:
        return length
    if not is_whole(steps) or not 1 <= steps <= length:
        raise UserError(f"steps={steps!r}: expected 1 to {length}, the length of the inputs")
    return int(steps)


def joined_state(given: Any, networks: list[Network], batch: int, size: int) -> Tensor:
    """(batch, state_size), from that or from torch's own h_0 or (h_0, c_0), each (layers, batch, units)."""
    given = tuple(given) if isinstance(given, list | tuple) else (given,)
    kinds = [type(part).__name__ for part in given]
    if not given or not all(isinstance(part, Tensor | np.ndarray) for part in given):
        raise UserError(
            f"initial_state is {', '.join(kinds) or 'empty'}: expected a tensor or array ({batch}, {size}), or torch's "
            "h_0 or (h_0, c_0)"
        )
    parts = [real_tensor_of("initial_state", part) for part in given]
    names = networks[0].cell.parts
    as_torch_has_it = (len(networks), batch, networks[0].cell.units)
    if len(parts) == len(names) and all(tuple(part.shape) == as_torch_has_it for part in parts):
        layers = [part[index].to(parts[0].device).double() for index in range(len(networks)) for part in parts]
        joined = torch.cat(layers, dim=-1)
    elif len(parts) == 1 and tuple(parts[0].shape) == (batch, size):
        joined = parts[0]
    else:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        several = "" if len(names) == 1 else f" for each of {', '.join(names)}"
        raise UserError(
            f"initial_state has shape {shapes}: expected ({batch}, {size}), batch and state size, or as torch has it "
            f"{as_torch_has_it}{several}"
        )
    if not bool(joined.isfinite().all()):
        raise UserError("initial_state holds NaN or infinity: expected finite numbers")
    return joined.double()
