"""From whatever a person has (a layer, a module, a step function, arrays) to a system the engine can run."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.lyapunov.accepting.checks import (
    batch_first,
    checked_device,
    checked_inputs,
    checked_length,
    is_whole,
    joined_state,
    real_tensor_of,
)
from aelle_core.lyapunov.accepting.judge import as_evaluated, check_it_runs_so
from aelle_core.lyapunov.accepting.modules import RECURRENT, layer_named, received_by
from aelle_core.lyapunov.accepting.sequences import Alike, batches_of, sequences_alike
from aelle_core.lyapunov.result import Precision
from aelle_core.lyapunov.systems import StackSystem, Step, StepSystem, System, TrajectorySystem

_STEP_DTYPES = {"exact": torch.float64, "fast": torch.float32, "extended": torch.float64}
_SCRIPTED = (torch.jit.ScriptModule, torch.jit.ScriptFunction, torch._C.ScriptMethod)
_NEEDED = "a step function needs a tensor (batch, state_size)"


@dataclass(frozen=True)
class Part:
    """A system over sequences of one length: their indices among all, None where there are no others."""

    system: System
    steps: int
    indices: list[int] | None = None


def build_systems(
    system: Any,
    inputs: Any,
    *,
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    precision: Precision,
    device: torch.device | str | None,
    layer: str | None,
) -> list[Part]:
    """Return the system with its number of steps, once for each length that the sequences have. Raises UserError on
    anything that does not fit together."""
    if isinstance(system, type):
        raise UserError(f"system is the class {system.__name__}: expected an instance of it, {system.__name__}(...)")
    if isinstance(system, Tensor | np.ndarray):
        return [Part(*_given_jacobians(system, inputs, steps, initial_state, hidden, layer, precision, device))]
    networks: list[Network] = []
    batches: list[Any] = []
    if isinstance(system, nn.Module) and not isinstance(system, RECURRENT):
        names = [name for name, module in system.named_modules() if isinstance(module, RECURRENT)]
        whole = [name for name in names if isinstance(system.get_submodule(name), nn.RNNBase)]
        # With a state and nothing but single cells inside, the module is itself a step(x, state).
        if layer is not None or whole or (names and initial_state is None):
            networks, batches, received_state = _layer_inside(system, names, layer, inputs)
            initial_state = received_state if initial_state is None else initial_state
        elif initial_state is None:
            raise UserError(
                f"{type(system).__name__} holds no recurrent layer of torch ({_kinds_in(system)}): expected one inside "
                "it, or, where the module is a step(x, state), its initial_state"
            )
    elif layer is not None:
        raise UserError(f"layer={layer!r} was given with a {type(system).__name__}: expected a module that holds it")
    if networks:
        pass
    elif isinstance(system, RECURRENT):
        with as_evaluated(system):
            networks = from_torch(system)
            check_it_runs_so(system, networks)
        batches = [batch_first(system, batch) for batch in batches_of(inputs)]
    elif isinstance(system, Network):
        networks, batches = [system], list(batches_of(inputs))
    elif callable(system):
        alike = sequences_alike(list(batches_of(inputs)), steps)
        return _step_systems(system, alike, steps, initial_state, hidden, precision, device)
    else:
        raise UserError(
            f"system is a {type(system).__name__}: expected a Network, a torch recurrent layer or cell, a module that "
            "holds one, a function step(x, state), or an array of Jacobians"
        )
    if inputs is None:
        raise UserError(
            f"inputs=None: a {networks[0].cell.name} needs inputs (batch, time, features); zeros for an undriven run"
        )
    home = next(iter(networks[0].parameters.values())).device
    alike = sequences_alike(batches, steps)
    driven = [checked_inputs(group.inputs, networks[0].cell.input_size, None, device or home) for group in alike]
    size, total = sum(network.cell.state_size for network in networks), sum(len(given) for given in driven)
    state = None if initial_state is None else joined_state(initial_state, networks, total, size)
    return [
        Part(
            StackSystem(networks, given, hidden=hidden, initial_state=_rows(state, group)),
            checked_length(given.shape[1], steps),
            group.indices,
        )
        for group, given in zip(alike, driven, strict=True)
    ]


def _layer_inside(
    module: nn.Module, names: list[str], layer: str | None, inputs: Any
) -> tuple[list[Network], list[Any], Any]:
    """Return the networks of the module's recurrent layer, what it receives, batch by batch, and its initial state.

    Raises UserError, naming the layer, where it is none that a spectrum can be taken of.
    """
    with as_evaluated(module):
        name, chosen = layer_named(module, names, layer)
        try:
            networks = from_torch(chosen)
            check_it_runs_so(chosen, networks)
        except UserError as error:
            raise UserError(f"layer {name!r} of {type(module).__name__}: {error}") from error
        received = [received_by(module, name, batch) for batch in batches_of(inputs)]
    states = [state for _, state in received if state is not None]
    if len(states) not in (0, len(received)):
        raise UserError(f"layer {name!r} receives an initial state in some batches only: expected it in all or in none")
    return networks, [sequence for sequence, _ in received], _states_joined(states)


def _states_joined(states: list[Any]) -> Any:
    """Return the states of all batches, each (layers, batch, units) or a tuple of two, as one in the same form."""
    if len(states) < 2:
        return states[0] if states else None
    if isinstance(states[0], tuple):
        return tuple(torch.cat(parts, dim=1) for parts in zip(*states, strict=True))
    return torch.cat(states, dim=1)


def _rows(state: Tensor | None, alike: Alike) -> Tensor | None:
    """Return the rows (batch, state_size) of the sequences of one length."""
    return state if state is None or alike.indices is None else state[alike.indices]


def _kinds_in(module: nn.Module) -> str:
    kinds = sorted({type(inner).__name__ for inner in module.modules() if inner is not module})
    return ", ".join(kinds) or "no layer at all"


def _step_systems(
    step: Step,
    alike: list[Alike],
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    precision: Precision,
    device: torch.device | str | None,
) -> list[Part]:
    """Return a step function over the sequences of each length, each with its rows of the initial state."""
    if len(alike) == 1:
        return [Part(*_step_system(step, alike[0].inputs, steps, initial_state, hidden, precision, device))]
    total = sum(len(group.inputs) for group in alike)
    if isinstance(initial_state, Tensor | np.ndarray) and len(initial_state) != total:
        raise UserError(f"initial_state has batch {len(initial_state)}: the inputs have {total}")
    parts = []
    for group in alike:
        start = initial_state[group.indices] if isinstance(initial_state, Tensor | np.ndarray) else initial_state
        built, length = _step_system(step, group.inputs, steps, start, hidden, precision, device)
        parts.append(Part(built, length, group.indices))
    return parts


def _step_system(
    step: Step,
    inputs: Any,
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    precision: Precision,
    device: torch.device | str | None,
) -> tuple[System, int]:
    if hidden:
        raise UserError("jacobian='hidden' was asked of a step function: it has one state; expected 'full'")
    if any(isinstance(part, _SCRIPTED) for part in (step, *(step.modules() if isinstance(step, nn.Module) else ()))):
        raise UserError(
            f"step is or holds TorchScript ({type(step).__name__}), whose arithmetic cannot be watched for rounding: "
            "expected the Python function or module that it was made from"
        )
    if not isinstance(initial_state, Tensor | np.ndarray):
        raise UserError(f"initial_state is {type(initial_state).__name__}: {_NEEDED}")
    state = real_tensor_of("initial_state", initial_state)
    if state.dim() != 2 or 0 in state.shape:
        raise UserError(f"initial_state is {tuple(state.shape)}: {_NEEDED}")
    state = state.to(checked_device(device or state.device))
    given = None if inputs is None else checked_inputs(inputs, None, None, device)
    if given is None:
        if not is_whole(steps) or steps < 1:
            raise UserError(f"steps={steps!r}: an autonomous map (inputs=None) needs a whole number of at least 1")
        length = int(steps)
    else:
        if given.shape[0] != state.shape[0]:
            raise UserError(f"initial_state has batch {state.shape[0]}: the inputs have {given.shape[0]}")
        length = checked_length(given.shape[1], steps)

    def system(dtype: torch.dtype) -> StepSystem:
        function = own_copy(step, dtype, device) if isinstance(step, nn.Module) else step
        return StepSystem(function, None if given is None else given.to(dtype), state.to(dtype))

    try:
        return system(torch.float64), length
    except UserError:
        if precision != "fast":
            raise
        return system(torch.float32), length  # its own numbers are float32; nothing is resolved then


def own_copy(module: nn.Module, dtype: torch.dtype, device: torch.device | str | None) -> nn.Module:
    """Return a copy in eval mode: the spectrum describes one deterministic map, so no dropout."""
    try:
        return copy.deepcopy(module).eval().to(device=device, dtype=dtype)
    except Exception as error:  # what cannot be copied says so in many ways
        raise UserError(
            f"{type(module).__name__} cannot be copied to {dtype}: {first_line(error)}; expected a module "
            "that copy.deepcopy takes, or a function step(x, state)"
        ) from error


def _given_jacobians(
    jacobians: Tensor | np.ndarray,
    inputs: Any,
    steps: int | None,
    initial_state: Any,
    hidden: bool,
    layer: str | None,
    precision: Precision,
    device: torch.device | str | None,
) -> tuple[System, int]:
    others = {
        "inputs": inputs,
        "initial_state": initial_state,
        "layer": layer,
        "jacobian": "hidden" if hidden else None,
    }
    if given := [name for name, value in others.items() if value is not None]:
        raise UserError(f"{given[0]} was given with an array of Jacobians: expected the array alone")
    shape = tuple(jacobians.shape)
    if isinstance(jacobians, np.ndarray):
        real = jacobians.dtype.kind in "fiu"  # read a stretch at a time: the file may be larger than memory
    else:
        real = not jacobians.is_complex() and jacobians.dtype != torch.bool
    if len(shape) != 4 or shape[2] != shape[3] or 0 in shape or not real:
        raise UserError(
            f"Jacobians have dtype {jacobians.dtype} and shape {shape}: expected real numbers (batch, time, size, size)"
        )
    if isinstance(jacobians, Tensor):
        jacobians = real_tensor_of("array of Jacobians", jacobians)
        device = checked_device(device or jacobians.device)
    return TrajectorySystem(jacobians, _STEP_DTYPES[precision], device), checked_length(shape[1], steps)
