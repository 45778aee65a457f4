"""What a person hands in, checked before any work starts."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import Network
from aelle_core.errors import UserError


def checked_inputs(
    inputs: Any, features: int | None, dtype: torch.dtype | None, device: torch.device | str | None
) -> Tensor:
    """Inputs as a tensor (batch, time, features), of `dtype` or as they are. Raises UserError for anything else."""
    given = torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs
    if not isinstance(given, Tensor):
        raise UserError(f"inputs are a {type(inputs).__name__}: expected a tensor or array (batch, time, features)")
    if given.is_complex() or given.dtype == torch.bool:
        raise UserError(f"inputs have dtype {given.dtype}: expected real numbers")
    if given.dim() != 3 or 0 in given.shape or (features is not None and given.shape[2] != features):
        width = "features" if features is None else features
        raise UserError(f"inputs have shape {tuple(given.shape)}: expected (batch, time, {width}), none of them 0")
    given = given.detach().to(device=device, dtype=dtype)
    # The sum reads them once and makes nothing; where it overflows, they are looked at one by one.
    if not bool(given.sum(dtype=torch.float64).isfinite()) and not bool(given.isfinite().all()):
        raise UserError(f"inputs of shape {tuple(given.shape)} hold NaN or infinity: expected finite numbers")
    return given


def checked_device(device: torch.device | str | None) -> torch.device | None:
    """Raises UserError for what is no device, and for one that this machine does not have."""
    if device is None:
        return None
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        here = "'cpu' or 'cuda'" if torch.cuda.is_available() else "'cpu': there is no CUDA device here"
        raise UserError(f"device={device!r}: expected {here}") from error
    return chosen


def checked_length(length: int, steps: int | None) -> int:
    """`steps`, or the whole length. Raises UserError when there are not so many."""
    if steps is None:
        return length
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= length:
        raise UserError(f"steps={steps!r}: expected 1 to {length}, the length of the inputs")
    return steps


def joined_state(given: Any, networks: list[Network], batch: int, size: int) -> Tensor:
    """(batch, state_size), from that or from torch's own h_0 or (h_0, c_0), each (layers, batch, units)."""
    parts = [torch.as_tensor(part) for part in (given if isinstance(given, tuple) else (given,))]
    if all(part.dim() == 3 for part in parts) and len(parts) == len(networks[0].cell.parts):
        layers = [part[index] for index in range(len(networks)) for part in parts if index < len(part)]
        joined = torch.cat(layers, dim=-1)
    else:
        joined = parts[0]
    if len(parts) not in (1, len(networks[0].cell.parts)) or tuple(joined.shape) != (batch, size):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise UserError(f"initial_state has shape {shapes}: expected ({batch}, {size}), batch and state size")
    if not bool(joined.isfinite().all()):
        raise UserError("initial_state holds NaN or infinity: expected finite numbers")
    return joined.detach().double()
