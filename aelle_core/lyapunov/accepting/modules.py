"""The recurrent layer inside a person's module."""

import threading
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from aelle_core.foundation.errors import UserError, first_line
from aelle_core.lyapunov.accepting.checks import tensor_of

RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def layer_named(module: nn.Module, names: list[str], layer: str | None) -> tuple[str, nn.RNNBase]:
    """Return the module's recurrent layer and its name. Raises UserError when there is no such layer, when several are
    there to choose from, and when it is a single cell."""
    kind = type(module).__name__
    if layer is None and len(names) > 1:
        raise UserError(f"{kind} holds {len(names)} recurrent layers: expected layer= one of {names}")
    name = names[0] if layer is None else layer
    if name not in names:
        other = dict(module.named_modules()).get(name)
        what = "" if other is None else f" is a {type(other).__name__}"
        raise UserError(f"layer={layer!r}{what}: {kind} has the recurrent layers {names or 'none'}")
    chosen = module.get_submodule(name)
    if not isinstance(chosen, nn.RNNBase):
        raise UserError(
            f"layer {name!r} is a {type(chosen).__name__} inside a module: pass the cell itself with its own inputs, "
            "or, where the module is a step(x, state), its initial_state"
        )
    return name, chosen


def received_by(module: nn.Module, name: str, inputs: Any) -> tuple[Tensor | PackedSequence, Any]:
    """Return what the layer of that name receives when the module runs on the inputs: (batch, time, features) or packed
    sequences, and the initial state in torch's form, or None.

    The caller has the module in evaluation (judge.as_evaluated). Raises UserError when the module fails on the inputs,
    and when it does not run the layer just once on a tensor or on packed sequences.
    """
    kind, chosen = type(module).__name__, module.get_submodule(name)
    assert isinstance(chosen, nn.RNNBase)  # layer_named has looked
    received: list[tuple[Any, Any]] = []

    own = threading.get_ident()  # a shared module may be run by others meanwhile

    def note(_: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if threading.get_ident() != own:
            return
        given = dict(zip(("input", "hx"), arguments, strict=False)) | options
        received.append((given.get("input"), given.get("hx")))

    hook = chosen.register_forward_pre_hook(note, with_kwargs=True)
    try:
        module(_as_the_module_takes_them(module, inputs))
    except UserError:
        raise
    except Exception as error:  # whatever a person's forward raises
        shape = tuple(inputs.shape) if isinstance(inputs, Tensor | np.ndarray) else type(inputs).__name__
        raise UserError(
            f"{kind} failed on the inputs, {shape}: {first_line(error)}; expected what its forward takes"
        ) from error
    finally:
        hook.remove()
    if len(received) != 1 or not isinstance(received[0][0], Tensor | PackedSequence):
        raise UserError(f"layer {name!r} ran {len(received)} times in one forward pass: expected once, on a tensor")
    sequence, state = received[0]
    if isinstance(sequence, PackedSequence):
        return sequence, state
    if sequence.dim() == 2:  # one sequence without a batch
        sequence = sequence.unsqueeze(0 if chosen.batch_first else 1)
        if state is not None:
            state = tuple(part.unsqueeze(1) for part in state) if isinstance(state, tuple) else state.unsqueeze(1)
    return sequence if chosen.batch_first else sequence.transpose(0, 1), state


def _as_the_module_takes_them(module: nn.Module, inputs: Any) -> Any:
    """Arrays as tensors; real numbers in the precision and on the device of the module's weights."""
    given = tensor_of("inputs", inputs) if isinstance(inputs, np.ndarray) else inputs
    like = next((weight for weight in module.parameters() if weight.is_floating_point()), None)
    if isinstance(given, Tensor) and like is not None:
        given = given.to(device=like.device, dtype=like.dtype if given.is_floating_point() else None)
    elif isinstance(given, PackedSequence) and like is not None:
        packed: Any = given
        packed = packed.to(like.device)
        given = packed.to(like.dtype) if packed.data.is_floating_point() else packed
    return given
