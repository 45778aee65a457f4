"""Trajectories and their tangents move forward a stretch of steps at a time: memory does not grow with steps."""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.jacobians import Jacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import TOGETHER, Frame, Kernel, TorchTangents
from aelle_core.lyapunov.systems import System

_MEMORY = {"cpu": 2**24, "cuda": 2**30}  # bytes for one stretch of Jacobians: about what caches hold
_LONGEST = 16384
_LONG_ENOUGH = 8  # steps of a stretch: with fewer, calls take their share of the time
_TOLD = 256  # steps from one report of progress to the next, at most


@dataclass(frozen=True)
class Course:
    """How tangents are followed: k of them for `steps` steps, the first `warmup` of which do not count.

    dtype    of the tangents
    lengths  whether the lengths of the columns of J Q are told
    on_step  called with the number of steps done after every stretch
    trial    counted steps of a first stretch that is short, and shows whether to go on; 0 for none
    kernel   what makes the tangents; by default the fastest there is
    bits     of tangents in more digits than float64 has (extended.py)
    """

    k: int
    steps: int
    warmup: int
    dtype: torch.dtype
    lengths: bool = False
    on_step: Callable[[int], object] | None = None
    trial: int = 0
    kernel: Kernel | None = None
    bits: int | None = None


@dataclass(frozen=True)
class Stretch:
    """What happened in the steps from `first` on.

    logarithms  (networks, rows, steps, k) log |r|
    lengths     (networks, rows, steps, k) of the columns of J Q; None where not asked for
    finite      (networks, rows) whether states and Jacobians were
    wanted      (steps,) marks the steps at whose end sums are needed
    switching   (networks, rows, steps, functions), see `Linearised`
    """

    first: int
    logarithms: Tensor
    lengths: Tensor | None
    finite: Tensor
    jacobians: Jacobians
    wanted: Tensor
    switching: Tensor | None = None


def stretches(
    system: System,
    copies: int,
    course: Course,
    rounding: Rounding | None,
    wanted: Callable[[int, int], Tensor],
    threads: int,
) -> Iterator[Stretch]:
    """Yield stretch after stretch of all trajectories, `rows` = sequences times copies of every network.

    With `rounding`, trajectories behind its plain ones are disturbed. `wanted` tells of a first step and a number of
    steps at which ends sums are needed, (steps,).
    """
    rows = system.sequences * copies
    like = system.like.new_empty(0, dtype=course.dtype)
    frame = Frame(
        like,
        system.networks * rows,
        system.size,
        course.k,
        disturbed=rounding.marks(system.networks) if rounding else None,
        disturbance=rounding.size if rounding else 0.0,
        lengths=course.lengths,
    )
    kernel = course.kernel or _kernel_for(system, course.k, course.dtype)
    tangents = ExtendedTangents(frame, course.bits) if course.bits else kernel(frame)
    columns = system.size if course.bits else course.k  # with so many, Jacobians are made, not pushed
    room = _MEMORY[like.device.type] // system.bytes_per_step(copies)
    longest = _LONGEST if course.on_step is None else min(_LONGEST, _TOLD)
    stretch = max(2, min(longest, room))
    if stretch >= TOGETHER:
        stretch = stretch // TOGETHER * TOGETHER
    state, first = system.start(copies), 0
    while first < course.steps:
        count = min(stretch, course.steps - first)
        if course.trial and first == 0:
            count = min(count, course.warmup + course.trial)
        linearised = system.linearise(first, count, state, columns, rounding)
        state, jacobians = linearised.state, linearised.jacobians
        ends = wanted(first, count)
        logarithms, lengths = tangents.advance(jacobians, threads, ends)
        by_row = (system.networks, rows)
        yield Stretch(
            first,
            logarithms.unflatten(0, by_row),
            None if lengths is None else lengths.unflatten(0, by_row),
            linearised.finite.unflatten(0, by_row),
            jacobians,
            ends,
            linearised.switching,
        )
        first += count
        if course.on_step is not None:
            course.on_step(first)


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
