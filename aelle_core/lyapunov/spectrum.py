"""lyapunov_spectrum and pack_spectra: argument checking and results."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader

from aelle_core.cells import Network
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.accepting.adapters import build_systems
from aelle_core.lyapunov.accepting.checks import checked_device, checked_inputs, checked_whole
from aelle_core.lyapunov.closed_loop import ClosedLoop
from aelle_core.lyapunov.covariant import covariant_vectors
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.lengths import growth_of_parts
from aelle_core.lyapunov.precision import growth_of
from aelle_core.lyapunov.ranking import spectrum_of
from aelle_core.lyapunov.result import LyapunovSpectrum, Precision
from aelle_core.lyapunov.stretches import networks_at_once
from aelle_core.lyapunov.systems import ClosedLoopSystem, StackSystem, Step, StepSystem

Inputs: TypeAlias = Tensor | np.ndarray | PackedSequence | Sequence[Tensor | np.ndarray] | DataLoader
Parts = TypeVar("Parts", StackSystem, ClosedLoopSystem)

_SHORT = 1000  # steps of an autonomous map, below which the way to its attractor is a bias to be named
_HOST_MEMORY = 2**30  # bytes for the tangents of a pack
_MATRICES_AT_ONCE = {"cpu": 2, "cuda": 10}  # of a trajectory: reflectors here; Q, J, J Q and its factors there


def lyapunov_spectrum(
    system: Network | ClosedLoop | nn.Module | Step | Tensor | np.ndarray,
    inputs: Inputs | None = None,
    *,
    steps: int | None = None,
    initial_state: Tensor | np.ndarray | Sequence[Tensor | np.ndarray] | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    k: int | None = None,
    warmup: int | None = None,
    precision: Precision = "exact",
    device: torch.device | str | None = None,
    layer: str | None = None,
    check: bool = True,
    running: int | None = None,
    on_step: Callable[[int], object] | None = None,
    vectors: Literal["covariant"] | None = None,
) -> LyapunovSpectrum:
    """Return the Lyapunov spectrum of a recurrent network, or of any differentiable map, in nats per step.

    Tangent vectors Q move with the Jacobian J_t[i, j] = d state_t[i] / d state_{t-1}[j] along the trajectory,
    Q <- J_t Q, and are orthogonalised after every step; exponent i is the mean of log |r_ii|. Derivatives and
    orthogonalisation keep their accuracy on saturated networks.

    system         a `Network` (a cell with its parameters); a torch.nn.RNN, GRU or LSTM of any depth or an RNNCell,
                   GRUCell or LSTMCell; a torch.nn.Module that holds one of these: it is run on the inputs, and the
                   spectrum is of its recurrent layer on what that layer receives;
                   step(x, state) -> state on tensors (batch, features) and (batch, state_size), a function or a
                   module, differentiated in forward mode; a ClosedLoop; or an array of Jacobians (batch, time, size,
                   size) along a trajectory, [.., i, j] being d state_i / d state_j
    inputs         (batch, time, features); for a torch layer with batch_first=False (time, batch, features), as its
                   forward takes them; of a ClosedLoop what it reads, not counted, before `steps` steps on its own
                   output; for a module around a recurrent layer, whatever its forward takes; None for an autonomous
                   map, whose step is given x = None. Sequences of different lengths come as a PackedSequence, as a
                   list of (time, features), or from a module that packs them for its layer: each is followed to its
                   own end, no padding is counted, and each weighs the same in the mean (the result's `lengths` has
                   their counted steps; `steps` cuts all to one length). Of a DataLoader all batches are used, of a
                   batch that is a tuple the first part: one over a Subset takes fewer
    steps          how many steps to take: needed without inputs, otherwise all of them
    initial_state  (batch, state_size), layer by layer and within a layer h before c; or torch's own h_0 or
                   (h_0, c_0); zeros by default; needed for a step function
    jacobian       "full": of the whole state, the dynamical system's spectrum (LSTM: h and c, 2N exponents);
                   "hidden": d h_t / d h_{t-1} alone (N exponents; what the paper uses)
    k              how many of the leading exponents; all by default
    warmup         steps at the start that turn the tangents but are not counted; 0 by default, of which an autonomous
                   map's first steps on the way to its attractor make a bias: a warning says so in short runs
    precision      "exact" (float64, safe on saturated networks) or "fast": states in float64, tangents in float32,
                   for well-conditioned networks; where J Q is too ill-conditioned for 1e-3 nats per step, the
                   network is computed again in "exact", which the result's `precision` tells. A step function
                   whose own numbers are float32 runs in float32 altogether, and nothing is resolved. "extended": as
                   exact, but tangents whose exponents float64 leaves unresolved (with check=False: all) are followed
                   again in as many digits as they need, which the result's `precision` tells; thousands of times
                   slower: for saturated gated networks of up to about 100 units
    device         where to compute; by default where the inputs or weights are
    layer          which recurrent layer of a module with several, by its name in the module
    check          tell what is `resolved`: with "exact" by second copies of trajectories, disturbed in the last
                   places: from eight dimensions and eight sequences on of two sequences, where these tell enough
                   of the others (few_checked.py); otherwise of all, which doubles the time. With "fast" by the
                   condition of J Q, which costs little
    running        record the finite-time exponents after every so many counted steps
    on_step        called now and then with the number of steps taken
    vectors        "covariant" adds the covariant Lyapunov vectors of the counted steps but the last `warmup`, in which
                   they settle going back (covariant.py); for networks, torch layers and step functions

    A network whose weights or states are not finite gives a result with status "non-finite"; it raises nothing.
    Raises UserError, repeating what was given and what was expected, on anything that cannot be asked for.

    >>> import torch
    >>> from aelle_core import lyapunov_spectrum
    >>> lyapunov_spectrum(torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 20, 3)).exponents.shape
    (16,)
    >>> step = lambda x, state: state * torch.tensor([0.5, 0.25])
    >>> halves = lyapunov_spectrum(step, steps=10, warmup=0, initial_state=torch.ones(1, 2))
    >>> halves.exponents.round(4)  # log 1/2 and log 1/4
    array([-0.6931, -1.3863])

    Benettin et al. 1980; Engelken, Wolf, Abbott, Lyapunov spectra of chaotic recurrent neural networks, 2023; Vogt,
    Zheng, Shlizerman, 2024 (section 3).
    """
    _check_choices(jacobian, precision)
    if vectors not in (None, "covariant"):
        raise UserError(f"vectors={vectors!r}: expected 'covariant', or None")
    device = checked_device(device)
    if isinstance(system, ClosedLoop):
        if system.networks > 1:
            raise UserError("lyapunov_spectrum was given a pack of networks: expected one; pack_spectra takes packs")
        if layer is not None or jacobian == "hidden" or vectors is not None:
            raise UserError("layer=, jacobian='hidden' or vectors= was asked of a ClosedLoop: expected its whole state")
        return _closed_loops(
            system, inputs, steps, initial_state, k, warmup or 0, precision, device, check, running, on_step
        )[0]
    if isinstance(system, Network) and system.packed:
        raise UserError("lyapunov_spectrum was given a pack of networks: expected one; pack_spectra takes packs")
    if vectors is not None and not isinstance(inputs, Tensor | np.ndarray | None):
        raise UserError(f"vectors={vectors!r} was given with inputs in a {type(inputs).__name__}: expected a tensor")
    with torch.no_grad():
        parts = build_systems(
            system,
            inputs,
            steps=steps,
            initial_state=initial_state,
            hidden=jacobian == "hidden",
            precision=precision,
            device=device,
            layer=layer,
        )
        built, length = parts[0].system, min(part.steps for part in parts)
        if len(parts) > 1 and running is not None:
            raise UserError(
                f"running={running!r} was given with sequences of different lengths: expected one length, or steps="
            )
        followed = _checked_count("k", k, built.size, 1, built.size)
        skipped = _checked_count("warmup", warmup, 0, 0, length - 1)
        if warmup is None and inputs is None and isinstance(built, StepSystem) and 1 < length < _SHORT:
            warnings.warn(
                f"the {length} steps of this autonomous map are counted from the first, before it has come to its "
                "attractor and its tangents have turned: give warmup=, 0 to keep them",
                stacklevel=2,
            )
        every = None if running is None else _checked_count("running", running, 1, 1, length - skipped)
        for part in parts:
            if isinstance(part.system, StepSystem):
                part.system.compile(part.steps)
        growth, network, used = growth_of_parts(parts, followed, skipped, precision, check, every, on_step)
    result = spectrum_of(growth, network, used, built.size)
    if vectors is None or result.status != "ok":
        return result
    given = None if inputs is None else torch.as_tensor(inputs)
    start = None if initial_state is None else torch.as_tensor(initial_state)
    covariant = covariant_vectors(
        system,
        given,
        k=followed,
        jacobian=jacobian,
        warmup=skipped,
        settle=min(skipped, length - skipped - 1),
        steps=steps,
        initial_state=start,
    )
    return replace(result, covariant=covariant)


def pack_spectra(
    network: Network | ClosedLoop,
    inputs: Tensor,
    *,
    steps: int | None = None,
    initial_state: Tensor | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    k: int | None = None,
    warmup: int = 0,
    precision: Precision = "exact",
    device: torch.device | str | None = None,
    check: bool = False,
) -> list[LyapunovSpectrum]:
    """Return the spectra of a pack of networks on the same inputs (batch, time, features), one result per network.

    Everything is as in `lyapunov_spectrum`, but the check for rounding is off unless asked for, and `initial_state` is
    (networks, batch, state_size), or (batch, state_size) for all. A network that is not finite does not disturb its
    neighbours. Packs of any size are taken in parts that fit into memory.
    """
    _check_choices(jacobian, precision)
    device = checked_device(device)
    if isinstance(network, ClosedLoop):
        if jacobian == "hidden":
            raise UserError("jacobian='hidden' was asked of a ClosedLoop: expected 'full', of its whole state")
        return _closed_loops(network, inputs, steps, initial_state, k, warmup, precision, device, check)
    if steps is not None:
        raise UserError(f"steps={steps!r} was given with driven networks: expected it with a ClosedLoop alone")
    if not isinstance(network, Network):
        raise UserError(f"pack_spectra was given a {type(network).__name__}: expected a Network, packed or single")
    with torch.no_grad():
        given = checked_inputs(inputs, network.cell.input_size, None, device)
        size, count = network.cell.state_size, network.networks
        if initial_state is not None and tuple(initial_state.shape) not in (
            (len(given), size),
            (count, len(given), size),
        ):
            raise UserError(
                f"initial_state has shape {tuple(initial_state.shape)}: expected ({count}, {len(given)}, {size}), "
                "networks, batch and state size, or the last two"
            )
        system = StackSystem([network], given, hidden=jacobian == "hidden", initial_state=initial_state)
        followed = _checked_count("k", k, system.size, 1, system.size)
        length = given.shape[1]
        skipped = _checked_count("warmup", warmup, 0, 0, length - 1)
        growths: list[tuple[Growth, int, Precision]] = []
        for part in _parts_that_fit(system, 2 if check else 1):
            growths += growth_of(part, followed, length, skipped, precision, check)
    return [spectrum_of(growth, network, used, system.size) for growth, network, used in growths]


def _closed_loops(
    loop: ClosedLoop,
    inputs: Any,
    steps: int | None,
    initial_state: Any,
    k: int | None,
    warmup: int,
    precision: Precision,
    device: torch.device | None,
    check: bool,
    running: int | None = None,
    on_step: Callable[[int], object] | None = None,
) -> list[LyapunovSpectrum]:
    """Return the spectra of networks that run freely for `steps` steps after the inputs."""
    length = _checked_count("steps", steps, 0, 1, 2**31)
    if not length:
        raise UserError("steps=None: a ClosedLoop needs the number of steps that it is to run freely")
    with torch.no_grad():
        system = loop.system(inputs, initial_state=initial_state, device=device)
        followed = _checked_count("k", k, system.size, 1, system.size)
        skipped = _checked_count("warmup", warmup, 0, 0, length - 1)
        every = None if running is None else _checked_count("running", running, 1, 1, length - skipped)
        if isinstance(system, StepSystem):
            system.compile(length)
        parts = _parts_that_fit(system, 2 if check else 1) if isinstance(system, ClosedLoopSystem) else [system]
        growths: list[tuple[Growth, int, Precision]] = []
        for part in parts:
            growths += growth_of(part, followed, length, skipped, precision, check, every, on_step)
    results = [spectrum_of(growth, network, used, system.size) for growth, network, used in growths]
    healthy = loop.weights_finite()
    return [
        replace(result, status="diverged") if result.status == "non-finite" and sound else result
        for result, sound in zip(results, healthy, strict=True)
    ]


def _parts_that_fit(system: Parts, copies: int) -> list[Parts]:
    """Return the pack in as few parts as memory holds tangents, Jacobians and factors of."""
    device = system.like.device
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _HOST_MEMORY
    of_network = copies * system.sequences * system.size**2 * 8 * _MATRICES_AT_ONCE[device.type]
    at_once = max(1, room // of_network)
    if isinstance(system, ClosedLoopSystem):  # many steps: parts of a pack are faster than short stretches
        at_once = min(at_once, networks_at_once(system, copies))
    if at_once >= system.networks:
        return [system]
    everyone = list(range(system.networks))
    return [system.in_double(everyone[first : first + at_once]) for first in range(0, system.networks, at_once)]


def _check_choices(jacobian: str, precision: str) -> None:
    for label, value, choices in (
        ("jacobian", jacobian, ("full", "hidden")),
        ("precision", precision, get_args(Precision)),
    ):
        if value not in choices:
            raise UserError(f"{label}={value!r}: expected one of {', '.join(map(repr, choices))}")


def _checked_count(label: str, value: int | None, default: int, low: int, high: int) -> int:
    return default if value is None else checked_whole(label, value, low, high)
