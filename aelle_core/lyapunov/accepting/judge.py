"""Whether a recurrent layer computes what its kind and its weights say: a forward pass of the layer itself decides."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aelle_core.cells import Network
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.foundation.random_streams import generator

_STEPS, _SEQUENCES = 3, 2
_ALLOWED = {torch.float64: 1e-9, torch.float32: 1e-2}  # of states of about 1; single precision may be amplified
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def as_evaluated(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation within the block: no dropout, not even of weights. One thread at a time: modules
    that are shared by threads are switched back only when all are done with them."""
    with _ONE_AT_A_TIME:
        modes = {part: part.training for part in module.modules()}
        try:
            module.eval()
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode


def check_it_runs_so(layer: nn.RNNBase | nn.RNNCellBase, networks: list[Network]) -> None:
    """Compare a few steps of the layer with the networks that were made of its weights, from random states on random
    inputs. Raises UserError when the layer fails or comes to other states: a subclass with a forward of its own, hooks
    that change what it computes."""
    kind = type(layer).__name__
    judged = _in_double(layer)
    weight = next(iter(judged.parameters()))
    double = torch.float64 if weight.dtype == torch.float64 else torch.float32
    cell = networks[0].cell
    source = generator(0, "judge")
    inputs = torch.randn(_SEQUENCES, _STEPS, cell.input_size, generator=source, dtype=torch.float64)
    parts = torch.rand(len(cell.parts), len(networks), _SEQUENCES, cell.units, generator=source, dtype=torch.float64)
    parts = 0.8 * parts - 0.4
    expected = _run_networks(networks, inputs, parts)
    if not expected.isfinite().all():
        return  # weights that are not finite: there is nothing to compare, and the spectrum's status names them
    try:
        with torch.no_grad(), as_evaluated(judged):
            states = _run_layer(judged, inputs.to(weight), parts.to(weight))
    except Exception as error:  # whatever a person's forward raises
        raise UserError(f"{kind} does not run as torch's layer does: {first_line(error)}; {_WANTED}") from error
    if states.shape != expected.shape:
        raise UserError(f"{kind} gives a state of shape {tuple(states.shape)}, not {tuple(expected.shape)}; {_WANTED}")
    apart = float((states.double().cpu() - expected).abs().max())
    if not apart <= _ALLOWED[double]:
        raise UserError(
            f"{kind} does not compute what its weights say for {cell.name}: after {_STEPS} steps its state is "
            f"{apart:.2g} off; {_WANTED}"
        )


_WANTED = "expected torch's own layer, or a function step(x, state) with initial_state, which may call this one"


def _in_double(layer: nn.Module) -> nn.Module:
    """Return a copy in float64; the layer itself where it cannot be copied, as with the older weight_norm."""
    try:
        return copy.deepcopy(layer).double()
    except Exception:  # what cannot be copied says so in many ways
        return layer


def _run_networks(networks: list[Network], inputs: Tensor, parts: Tensor) -> Tensor:
    """(parts, layers, sequences, units) after all inputs, from `parts` of that shape."""
    below, ends = inputs[None], []
    for layer, network in enumerate(networks):
        cell, weights = network.cell, network.prepare(torch.float64, "cpu")
        drive = cell.drive(weights, below.flatten(1, 2)).unflatten(1, below.shape[1:3])
        state = {name: parts[index, layer][None] for index, name in enumerate(cell.parts)}
        along = []
        for time in range(inputs.shape[1]):
            state = cell.step(weights, drive[:, :, time], state)
            along.append(state[cell.parts[0]])
        ends.append(torch.cat([state[name] for name in cell.parts]))
        below = torch.stack(along, dim=2)
    return torch.stack(ends, dim=1)


def _run_layer(layer: nn.Module, inputs: Tensor, parts: Tensor) -> Tensor:
    """Return the same by the layer's forward."""
    if isinstance(layer, nn.RNNCellBase):
        state = tuple(parts[:, 0]) if len(parts) > 1 else parts[0, 0]
        for time in range(inputs.shape[1]):
            state = layer(inputs[:, time], state)
        return torch.stack(list(state) if isinstance(state, tuple) else [state]).unsqueeze(1)
    assert isinstance(layer, nn.RNNBase)
    given = inputs if layer.batch_first else inputs.transpose(0, 1).contiguous()
    start = tuple(part.contiguous() for part in parts) if len(parts) > 1 else parts[0]
    output, ends = layer(given, start)
    last = output[:, -1] if layer.batch_first else output[-1]
    ends = torch.stack(list(ends) if isinstance(ends, tuple) else [ends])
    if last.shape != ends[0, -1].shape or not torch.allclose(last, ends[0, -1], rtol=1e-5, atol=1e-6):
        raise ValueError("its last output is not its last state")
    return ends
