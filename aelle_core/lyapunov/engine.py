"""The algorithm: push tangent vectors along a trajectory, orthogonalise, add up the logarithms.

Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Geist, Parlitz, Lauterborn, Prog. Theor. Phys. 83 (1990).
"""

import math
from collections.abc import Callable

import torch

from aelle_core.foundation.threads import one_torch_thread
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import Kernel
from aelle_core.lyapunov.stretches import Course, stretches
from aelle_core.lyapunov.systems import System
from aelle_core.lyapunov.tally import Tally

_FEW_TRAJECTORIES, _FEW_DIMENSIONS, _FEW_STEPS = 4, 64, 1000
_TRIAL = 4  # counted steps that show whether float32 is hopeless
_TRIED = 8  # part of the steps that shows mostly whether few sequences speak for all,
_TOLD_APART = 20  # and steps by which tangents that rounding spoils are seen to be
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
    kernel, bits, on_step  see `Course`
    """
    copied = check and dtype == torch.float64
    sequences, copies = system.sequences, _copies(system, steps) if copied else 1
    rounding = Rounding(system.like, sequences, sequences * copies) if copied else None
    underflow = -math.inf if bits else _UNDERFLOW[dtype]  # numbers of many digits do not underflow
    tally = Tally(system, k, warmup, dtype, check, running, underflow, steps)
    trial = 0 if abandon_above is None else _TRIAL
    course = Course(k, steps, warmup, dtype, check and not copied, on_step, trial, kernel, bits)
    done = 0
    with one_torch_thread() as threads:
        for stretch in stretches(system, copies, course, rounding, tally.wanted, threads):
            tally.add(stretch)
            done = stretch.first + len(stretch.wanted)
            if abandon_above is not None and tally.all_above(abandon_above, done):
                break
    return tally.growth(done)


def evolve_with_few(
    system: System,
    checked: int,
    k: int,
    steps: int,
    warmup: int,
    *,
    hopeless: Callable[[Growth, Growth], bool],
    running: int | None = None,
    on_step: Callable[[int], object] | None = None,
) -> tuple[Growth, Growth] | None:
    """Follow k tangents along all sequences in float64, and along the first `checked` of them a second time, disturbed,
    in the same run. Returns the growth along these, with errors, and that along the others, without.

    None where the system cannot be taken apart, and where the first steps of both show that it is `hopeless`.
    """
    sequences = system.sequences
    together = system.of_sequences([*range(sequences), *range(checked)])
    if together is None:
        return None
    rounding = Rounding(system.like, sequences, sequences + checked)
    tally = Tally(system, k, warmup, torch.float64, True, running, _UNDERFLOW[torch.float64], steps, checked=checked)
    trial = max(_TOLD_APART, (steps - warmup) // _TRIED)
    course = Course(k, steps, warmup, torch.float64, on_step=on_step, trial=trial)
    with one_torch_thread() as threads:
        for stretch in stretches(together, 1, course, rounding, tally.wanted, threads):
            tally.add(stretch)
            done = stretch.first + len(stretch.wanted)
            if stretch.first < warmup + trial <= done < steps and hopeless(
                tally.growth(done), tally.growth_of_others(done)
            ):
                return None
    return tally.growth(steps), tally.growth_of_others(steps)


def _copies(system: System, steps: int) -> int:
    """One disturbed copy of every trajectory, or two where that costs little: a few short trajectories give one
    disturbance too few chances."""
    few = system.networks * system.sequences <= _FEW_TRAJECTORIES and system.size <= _FEW_DIMENSIONS
    return 3 if few and steps <= _FEW_STEPS else 2
