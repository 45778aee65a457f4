"""The algorithm: push tangent vectors along a trajectory, orthogonalise, add up the logarithms.

Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Geist, Parlitz, Lauterborn, Prog. Theor. Phys. 83 (1990).
"""

import importlib.util
import math
import warnings
from collections.abc import Callable

import torch

from aelle_core.foundation.threads import one_torch_thread
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import Frame, Kernel, TorchTangents
from aelle_core.lyapunov.systems import System
from aelle_core.lyapunov.tally import Tally

_MEMORY = {"cpu": 2**23, "cuda": 2**30}  # bytes for one stretch of Jacobians: what caches hold
_LONGEST_STRETCH = 4096
_LONG_ENOUGH = 8  # steps of a stretch: with fewer, calls take their share of the time
_TOLD_STRETCH = 256  # steps from one report of progress to the next, at most
_TRIAL = 4  # steps that show whether float32 is hopeless
_FEW_TRAJECTORIES, _FEW_DIMENSIONS = 4, 64
_UNDERFLOW = {torch.float64: math.log(1e-280), torch.float32: math.log(1e-30)}  # lower, rounding is not relative


def evolve(
    system: System,
    k: int,
    steps: int,
    warmup: int,
    *,
    dtype: torch.dtype,
    check: bool,
    running: int | None = None,
    on_step: Callable[[int], object] | None = None,
    abandon_above: float | None = None,
    disturbed: int | None = None,
    kernel: Kernel | None = None,
    bits: int | None = None,
) -> Growth:
    """Follow k tangents for `steps` steps, the first `warmup` of them without counting.

    dtype    of the tangents. With float64, `check` follows a second copy of every trajectory, or a second and a third,
             whose states, Jacobians and tangents are disturbed in the last places, and adds up how far log |r| of
             them are apart, step by step. With float32 it estimates from the condition of J Q what rounding does to
             log |r|.
    running  record the exponents so far after every so many counted steps
    abandon_above  give up, after a short first stretch, when the errors of all networks are above this
    disturbed  how many copies the check disturbs; by default one, or two where that costs little
    kernel   what makes the tangents; by default the fastest there is
    bits     of tangents in more digits than float64 has (extended.py)

    Trajectories go forward a stretch at a time, so that memory does not grow with `steps`.
    """
    copied = check and dtype == torch.float64
    copies = 1 + (disturbed or _disturbed_copies(system)) if copied else 1
    shape = (system.networks, copies, system.sequences)
    like = system.like.new_empty(0, dtype=dtype)
    rounding = Rounding(system.like, copies) if copied else None
    other = (torch.arange(copies, device=like.device) > 0)[None, :, None].expand(shape).flatten()
    frame = Frame(
        like,
        len(other),
        system.size,
        k,
        disturbed=other if copied else None,
        disturbance=rounding.size if rounding else 0.0,
        lengths=check and not copied,
    )
    tangents = ExtendedTangents(frame, bits) if bits else (kernel or _kernel_for(system, k, dtype))(frame)
    columns = system.size if bits else k  # with so many, Jacobians are made, not pushed
    # Numbers of many digits do not underflow.
    tally = Tally(system, k, warmup, dtype, check, running, -math.inf if bits else _UNDERFLOW[dtype], steps)
    room = _MEMORY[like.device.type] // system.bytes_per_step(copies)
    longest = _LONGEST_STRETCH if on_step is None else min(_LONGEST_STRETCH, _TOLD_STRETCH)
    stretch = max(2, min(longest, room) // 2 * 2)  # kernels may make two steps at once
    state = system.start(copies)
    first = 0
    with one_torch_thread() as threads:
        while first < steps:
            count = min(stretch, steps - first)
            if abandon_above is not None and first == 0:
                count = min(count, warmup + _TRIAL)
            state, jacobians, finite = system.linearise(first, count, state, columns, rounding)
            wanted = tally.wanted(first, count)
            logarithms, lengths = tangents.advance(jacobians, threads, wanted)
            tally.add(
                first, logarithms.unflatten(0, shape), lengths, finite.unflatten(0, shape)[:, 0], jacobians, wanted
            )
            first += count
            if on_step is not None:
                on_step(first)
            if abandon_above is not None and tally.all_above(abandon_above, first):
                break
    return tally.growth(first)


def networks_at_once(system: System, copies: int) -> int:
    """Return of how many networks of the system a stretch is long enough."""
    of_network = max(1, system.bytes_per_step(copies) // system.networks)
    return max(1, _MEMORY[system.like.device.type] // (of_network * _LONG_ENOUGH))


def _kernel_for(system: System, k: int, dtype: torch.dtype) -> Kernel:
    if system.pushes(k) or system.like.device.type != "cpu" or importlib.util.find_spec("numba") is None:
        return TorchTangents
    try:
        import numba

        if getattr(numba.config, "DISABLE_JIT", False):
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents, prepare_kernel

        prepare_kernel(dtype)
    except (ImportError, RuntimeError, NotImplementedError) as error:  # no place for its cache, or numba is disabled
        warnings.warn(f"the compiled kernel cannot be used, torch's is slower: {error}", stacklevel=2)
        return TorchTangents
    return HouseholderTangents


def _disturbed_copies(system: System) -> int:
    """Two where that costs little: a few short trajectories give one disturbance too few chances."""
    few = system.networks * system.sequences <= _FEW_TRAJECTORIES and system.size <= _FEW_DIMENSIONS
    return 2 if few else 1
