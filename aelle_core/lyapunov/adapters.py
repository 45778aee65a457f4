"""From whatever a person has (a layer, a module, a step function, arrays) to a system the engine can run."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch
from aelle_core.errors import UserError
from aelle_core.lyapunov.systems import StackSystem, Step, StepSystem, TangentSystem, checked_step

_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def build_system(
    system: Any,
    inputs: Any,
    *,
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    dtype: torch.dtype,
    device: torch.device | str | None,
    layer: str | None,
) -> tuple[TangentSystem, int, Tensor]:
    """The system, the number of steps, and a tensor of the dtype and device to compute with.

    Raises UserError on anything that does not fit together.
    """
    if isinstance(system, nn.Module) and not isinstance(system, _RECURRENT):
        names = [name for name, module in system.named_modules() if isinstance(module, _RECURRENT)]
        if names or layer is not None:
            system, inputs = _recurrent_layer(system, names, layer, inputs)
        else:
            system = copy.deepcopy(system).to(dtype=dtype)
    elif layer is not None:
        raise UserError(f"layer={layer!r} was given with a {type(system).__name__}: expected a module that holds it")
    if isinstance(system, _RECURRENT):
        networks = from_torch(system)
    elif isinstance(system, Network):
        networks = [system]
    elif callable(system):
        return _step_system(system, inputs, steps, initial_state, hidden, dtype, device)
    else:
        raise UserError(
            f"system is a {type(system).__name__}: expected a Network, a torch recurrent layer or cell, a module that "
            "holds one, or a function step(x, state)"
        )
    if inputs is None:
        raise UserError(
            f"inputs=None: a {networks[0].cell.name} needs inputs (batch, time, features); zeros for an undriven run"
        )
    home = next(iter(networks[0].parameters.values())).device
    given = checked_inputs(inputs, networks[0].cell.input_size, dtype, device or home)
    length = _length(given, steps)
    size = sum(network.cell.state_size for network in networks)
    state = None if initial_state is None else _joined_state(initial_state, networks, given.shape[0], size, dtype)
    return StackSystem(networks, given, hidden=hidden, initial_state=state), length, given


def checked_inputs(inputs: Any, features: int | None, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
    """Inputs as a tensor (batch, time, features) of `dtype`. Raises UserError when they are anything else."""
    given = torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs
    if not isinstance(given, Tensor):
        raise UserError(f"inputs are a {type(inputs).__name__}: expected a tensor or array (batch, time, features)")
    if given.is_complex() or given.dtype == torch.bool:
        raise UserError(f"inputs have dtype {given.dtype}: expected real numbers")
    if given.dim() != 3 or 0 in given.shape or (features is not None and given.shape[2] != features):
        width = "features" if features is None else features
        raise UserError(f"inputs have shape {tuple(given.shape)}: expected (batch, time, {width}), none of them 0")
    given = given.detach().to(device=device, dtype=dtype)
    if not bool(given.isfinite().all()):
        raise UserError(f"inputs of shape {tuple(given.shape)} hold NaN or infinity: expected finite numbers")
    return given


def _length(inputs: Tensor, steps: int | None) -> int:
    if steps is None:
        return inputs.shape[1]
    if not isinstance(steps, int) or not 1 <= steps <= inputs.shape[1]:
        raise UserError(f"steps={steps!r}: expected 1 to {inputs.shape[1]}, the length of the inputs")
    return steps


def _step_system(
    step: Step,
    inputs: Any,
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> tuple[TangentSystem, int, Tensor]:
    if hidden:
        raise UserError("jacobian='hidden' was asked of a step function: it has one state; expected 'full'")
    state = torch.as_tensor(initial_state) if isinstance(initial_state, np.ndarray) else initial_state
    if not isinstance(state, Tensor) or state.dim() != 2:
        shape = tuple(state.shape) if isinstance(state, Tensor) else type(initial_state).__name__
        raise UserError(f"initial_state is {shape}: a step function needs a tensor (batch, state_size)")
    state = state.detach().to(device=device, dtype=dtype)
    if inputs is None:
        if not isinstance(steps, int) or steps < 1:
            raise UserError(f"steps={steps!r}: an autonomous map (inputs=None) needs a whole number of at least 1")
        checked_step(step, None, state)
        return StepSystem(step, None, state), steps, state
    given = checked_inputs(inputs, None, dtype, device)
    if given.shape[0] != state.shape[0]:
        raise UserError(f"initial_state has batch {state.shape[0]}: the inputs have {given.shape[0]}")
    checked_step(step, given, state)
    return StepSystem(step, given, state), _length(given, steps), state


def _joined_state(given: Any, networks: list[Network], batch: int, size: int, dtype: torch.dtype) -> Tensor:
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
    return joined.detach().to(dtype)


def _recurrent_layer(module: nn.Module, names: list[str], layer: str | None, inputs: Any) -> tuple[nn.Module, Tensor]:
    """The module's recurrent layer, and what it receives when the module runs on the inputs."""
    if layer is None and len(names) > 1:
        raise UserError(f"{type(module).__name__} holds {len(names)} recurrent layers: expected layer= one of {names}")
    name = names[0] if layer is None else layer
    if name not in names:
        raise UserError(f"layer={layer!r}: {type(module).__name__} has the recurrent layers {names or 'none'}")
    chosen = module.get_submodule(name)
    if isinstance(chosen, nn.RNNCellBase):
        raise UserError(
            f"layer {name!r} is a {type(chosen).__name__} inside a module: pass the cell itself with its own inputs"
        )
    received: list[Tensor] = []
    hook = chosen.register_forward_pre_hook(lambda _, arguments: received.append(arguments[0]))
    was_training = module.training
    try:
        module.eval()
        module(torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs)
    finally:
        hook.remove()
        module.train(was_training)
    if len(received) != 1 or not isinstance(received[0], Tensor):
        raise UserError(f"layer {name!r} ran {len(received)} times on tensors in one forward pass: expected once")
    sequence = received[0].unsqueeze(0 if chosen.batch_first else 1) if received[0].dim() == 2 else received[0]
    return chosen, sequence if chosen.batch_first else sequence.transpose(0, 1)
