"""Lyapunov exponents that gradients flow through."""

import math
import warnings
from typing import Any, Literal

from torch import Tensor, nn

from aelle_core.cells import Network
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.accepting.checks import batch_first, checked_length, checked_whole, is_whole, joined_state
from aelle_core.lyapunov.accepting.judge import check_it_runs_so
from aelle_core.lyapunov.closed_loop import ClosedLoop
from aelle_core.lyapunov.differentiable.closed_loop import accepted_closed_loop
from aelle_core.lyapunov.differentiable.sweeps import Plan, SumsOfLogarithms
from aelle_core.lyapunov.differentiable.systems import (
    DifferentiableStack,
    DifferentiableStep,
    DifferentiableSystem,
    live_networks,
)
from aelle_core.lyapunov.systems import Step

_GROWTH = math.log(1e6)  # nats: what a gradient through a chaotic trajectory may grow by before a warning


def lyapunov_exponents(
    system: Network | ClosedLoop | nn.Module | Step,
    inputs: Tensor | None = None,
    *,
    k: int | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    warmup: int = 0,
    every: int = 1,
    segment: int | None = None,
    truncate: int | None = None,
    steps: int | None = None,
    initial_state: Tensor | None = None,
) -> Tensor:
    """Return the leading exponents, (batch, k) in nats per step, differentiable in the weights, inputs and start.

    The gradient is exact, by one adjoint sweep along each trajectory: backward through torch.linalg.qr divides by
    numbers that underflow and gives NaN. Everything is computed in float64; gradients return in each tensor's dtype.

    Args:
        system: A Network, a torch RNN, GRU or LSTM or one of their cells, a ClosedLoop with a linear readout, or a
            function step(x, state) -> state with x (batch, features) or None and states (batch, state_size); a module
            may be such a function.
        inputs: (batch, time, features); None for an autonomous step function, which needs `steps`. A ClosedLoop reads
            them first, not counted, and then runs `steps` steps on its own output.
        k: How many exponents; all by default. The leading ones cost less, all are more accurate in saturation.
        jacobian: "full" for the whole state, "hidden" for d h_t / d h_{t-1} (as in `lyapunov_spectrum`).
        warmup: Steps at the start that exponents do not count.
        every: Steps between two factorisations: fewer of them are faster, and lose small exponents to rounding.
        segment: Steps between kept states: memory grows with steps / segment + segment, for one more forward pass.
            About sqrt(steps) takes the least memory. None keeps everything.
        truncate: Steps that gradients flow back through states; None for all. On a chaotic trajectory the exact
            gradient grows as e^(steps * largest exponent) and describes nothing beyond a short time.
        steps: Steps to take; the length of the inputs by default.
        initial_state: (batch, state_size); zeros by default, needed by step functions.

    Returns:
        Exponents (batch, k), float64, in the order of the tangents: descending where the trajectory is long enough.
        Dead directions are -inf and pass no gradient. What `lyapunov_spectrum` marks as unresolved for the same
        network is not right here either, nor is its gradient.

    Raises:
        UserError: On anything that does not fit together, repeating what was given and what was expected.

    >>> import torch
    >>> from aelle_core import lyapunov_exponents
    >>> gru = torch.nn.GRU(1, 4, batch_first=True)
    >>> exponents = lyapunov_exponents(gru, torch.zeros(2, 30, 1), k=2)
    >>> exponents.mean().backward()
    >>> gru.weight_hh_l0.grad.shape
    torch.Size([12, 4])

    Engelken, Gradient flossing: improving gradient descent through dynamic control of Jacobians, 2023, trains
    exponents through the QR decomposition itself; the sweep here is exact for strongly contracting directions too.
    """
    if jacobian not in ("full", "hidden"):
        raise UserError(f"jacobian={jacobian!r}: expected 'full' or 'hidden'")
    built, given, start, length = accepted_system(system, inputs, jacobian == "hidden", steps, initial_state)
    count = built.size if k is None else checked_whole("k", k, 1, built.size)
    skipped = checked_whole("warmup", warmup, 0, length - 1)
    followed = min(count, built.size - built.dead)
    plan = _plan(followed, skipped, checked_whole("every", every, 1, length), length, segment, truncate)
    sums: Tensor = SumsOfLogarithms.apply(built, plan, start, given, *built.tensors)
    exponents = nn.functional.pad(sums / (length - skipped), (0, count - followed), value=-math.inf)
    if truncate is None and sums.requires_grad:
        _warn_of_chaos(exponents.detach(), length)
    return exponents


def accepted_system(
    system: Any, inputs: Tensor | None, hidden: bool, steps: int | None, initial_state: Tensor | None
) -> tuple[DifferentiableSystem, Tensor | None, Tensor, int]:
    """Return the system, its inputs in float64, the carried state at the start (batch, carried), and the length."""
    if isinstance(system, ClosedLoop):
        if hidden:
            raise UserError("jacobian='hidden' was asked of a ClosedLoop: expected 'full', of its whole state")
        loop, begun, free = accepted_closed_loop(system, inputs, steps, initial_state)
        return loop, None, begun, free
    given = None if inputs is None else _checked(inputs, "inputs", 3).double()
    if isinstance(system, nn.RNNBase):
        given = batch_first(system, given)
    length = _length(given, steps)
    if isinstance(system, nn.RNNBase | nn.RNNCellBase):
        networks: list[Network] = live_networks(system)
        check_it_runs_so(system, networks)
    elif isinstance(system, Network):
        if system.packed:
            raise UserError("lyapunov_exponents was given a pack of networks: expected one network")
        networks = [system]
    elif callable(system):
        if hidden or initial_state is None:
            need = "jacobian='full'" if hidden else "initial_state (batch, state_size)"
            raise UserError(f"a step function has one state, from which it starts: expected {need}")
        state = _checked(initial_state, "initial_state", 2).double()
        built: DifferentiableSystem = DifferentiableStep(system, state, given)
        return built, given, built.start(state, len(state), state), length
    else:
        raise UserError(
            f"system is a {type(system).__name__}: expected a Network, a torch recurrent layer or cell, or a function "
            "step(x, state)"
        )
    if given is None:
        raise UserError(f"inputs=None: a {networks[0].cell.name} needs inputs (batch, time, features)")
    features = networks[0].cell.input_size
    if given.shape[2] != features:
        raise UserError(f"inputs have shape {tuple(given.shape)}: expected (batch, time, {features})")
    stack = DifferentiableStack(networks, hidden=hidden)
    total = sum(network.cell.state_size for network in networks)
    if initial_state is not None and not isinstance(initial_state, Tensor):
        initial_state = joined_state(initial_state, networks, len(given), total)
    if initial_state is not None and tuple(initial_state.shape) != (len(given), total):
        raise UserError(f"initial_state has shape {tuple(initial_state.shape)}: expected ({len(given)}, {total})")
    return stack, given, stack.start(initial_state, len(given), given), length


def _length(inputs: Tensor | None, steps: int | None) -> int:
    if inputs is not None:
        return checked_length(inputs.shape[1], steps)
    if not is_whole(steps) or steps < 1:
        raise UserError(f"steps={steps!r}: without inputs a whole number of at least 1 is expected")
    return int(steps)


def _plan(k: int, warmup: int, every: int, length: int, segment: int | None, truncate: int | None) -> Plan:
    bounds = {0, length}
    if segment is not None:
        bounds |= set(range(0, length, checked_whole("segment", segment, 1, length)))
    forgotten: set[int] = set()
    if truncate is not None:
        forgotten = set(range(0, length, checked_whole("truncate", truncate, 1, length)))
    return Plan(k, warmup, every, tuple(sorted(bounds | forgotten)), frozenset(forgotten))


def _warn_of_chaos(exponents: Tensor, length: int) -> None:
    largest = float(exponents[:, 0].nan_to_num(neginf=-math.inf).max())
    if largest * length > _GROWTH:
        warnings.warn(
            f"the largest exponent is {largest:.3g} nats per step: over {counted(length, 'step')} the exact gradient "
            f"grows by a factor of about e^{largest * length:.0f} and says nothing about the exponents of other "
            "trajectories; truncate= limits how far it flows back",
            stacklevel=3,
        )


def _checked(tensor: Tensor, label: str, dimensions: int) -> Tensor:
    if not isinstance(tensor, Tensor) or tensor.dim() != dimensions or 0 in tensor.shape:
        given = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise UserError(f"{label} {given}: expected a tensor of {dimensions} dimensions, none of them empty")
    return tensor
