"""The algorithm: push tangent vectors along a trajectory, orthogonalise, add up the logarithms.

Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Geist, Parlitz, Lauterborn, Prog. Theor. Phys. 83 (1990).
"""

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.foundation.threads import one_torch_thread
from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.factored import FactoredJacobians
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, Jacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import Frame, Kernel, TorchTangents
from aelle_core.lyapunov.systems import System

_MEMORY = {"cpu": 2**23, "cuda": 2**30}  # bytes for one stretch of Jacobians: what caches hold
_LONGEST_STRETCH = 256
_GROWTH = 4  # roundings of a column that its length over r lets grow
_LOST = 0.1  # nats by which rounding has changed log |r| in all: the direction is another
_TRIAL = 4  # steps that show whether float32 is hopeless
_SUM_RULE_EVERY = 16  # steps, of one sequence: a determinant costs up to a step
_UNDERFLOW = {torch.float64: math.log(1e-280), torch.float32: math.log(1e-30)}  # lower, rounding is not relative


@dataclass(frozen=True)
class Growth:
    """What tangents did over `steps` counted steps of (networks, sequences) trajectories.

    logarithms    (networks, sequences, k) sums of log |r|
    errors        (networks, sequences, k) nats per step that rounding may have changed, infinite where a number has
                  underflowed; None where not asked for
    ceilings      (networks, sequences, k) sums that the logarithms are below even so: spoilt numbers are at most as
                  large as rounding, or as what underflows, makes them
    residuals     (networks, sequences) largest |sum of log |r| - log |det J|| of checked steps; NaN where k < size
    finite        (networks, sequences) whether states and Jacobians were
    running       (records, networks, sequences, k) finite-time exponents after `running_steps`; both None or given
    """

    logarithms: Tensor
    errors: Tensor | None
    ceilings: Tensor
    residuals: Tensor
    finite: Tensor
    steps: int
    running: Tensor | None = None
    running_steps: Tensor | None = None


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

    dtype    of the tangents. With float64, `check` follows a second copy of every trajectory whose states, Jacobians
             and tangents are disturbed by a few units of the last place, and adds up how far log |r| of the two are
             apart, step by step. With float32 it estimates from the condition of J Q what rounding does to log |r|.
    running  record the exponents so far after every so many counted steps
    abandon_above  give up, after a short first stretch, when the errors of all networks are above this
    kernel   what makes the tangents; by default the fastest there is
    bits     of tangents in more digits than float64 has (extended.py)

    Trajectories go forward a stretch at a time, so that memory does not grow with `steps`.
    """
    copied = check and dtype == torch.float64
    copies = 2 if copied else 1
    shape = (system.networks, copies, system.sequences)
    like = system.like.new_empty(0, dtype=dtype)
    rounding = Rounding(system.like) if copied else None
    second = torch.arange(copies, device=like.device).bool()[None, :, None].expand(shape).flatten()
    frame = Frame(
        like,
        len(second),
        system.size,
        k,
        disturbed=second if copied else None,
        disturbance=rounding.size if rounding else 0.0,
        lengths=check and not copied,
    )
    tangents = ExtendedTangents(frame, bits) if bits else (kernel or _kernel_for(system, k, dtype))(frame)
    columns = system.size if bits else k  # with so many, Jacobians are made, not pushed
    # Numbers of many digits do not underflow.
    tally = _Tally(system, k, warmup, dtype, check, running, -math.inf if bits else _UNDERFLOW[dtype])
    room = _MEMORY[like.device.type] // system.bytes_per_step(copies)
    stretch = max(2, min(_LONGEST_STRETCH, room) // 2 * 2)  # kernels may make two steps at once
    state = system.start(copies)
    first = 0
    with one_torch_thread() as threads:
        while first < steps:
            count = min(stretch, steps - first)
            if abandon_above is not None and first == 0:
                count = min(count, warmup + _TRIAL)
            state, jacobians, finite = system.linearise(first, count, state, columns, rounding)
            told = tally.told(first, count)
            logarithms, lengths = tangents.advance(jacobians, threads, told)
            tally.add(first, logarithms.unflatten(0, shape), lengths, finite.unflatten(0, shape)[:, 0], jacobians, told)
            first += count
            if on_step is not None:
                on_step(first)
            if abandon_above is not None and tally.all_above(abandon_above, first):
                break
    return tally.growth(first)


def _kernel_for(system: System, k: int, dtype: torch.dtype) -> Kernel:
    if system.pushes(k) or system.like.device.type != "cpu" or importlib.util.find_spec("numba") is None:
        return TorchTangents
    try:
        from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents, prepare_kernel

        prepare_kernel(dtype)
    except (ImportError, RuntimeError, NotImplementedError) as error:  # no place for its cache, or numba is disabled
        warnings.warn(f"the compiled kernel cannot be used, torch's is slower: {error}", stacklevel=2)
        return TorchTangents
    return HouseholderTangents


class _Tally:
    """Sums over counted steps."""

    def __init__(
        self,
        system: System,
        k: int,
        warmup: int,
        dtype: torch.dtype,
        check: bool,
        running: int | None,
        underflow: float,
    ) -> None:
        shape = (system.networks, system.sequences)
        self.system, self.k, self.warmup, self.dtype, self.every = system, k, warmup, dtype, running
        self.underflow = underflow
        self.logarithms = system.like.new_zeros(*shape, k, dtype=torch.float64)
        self.ceilings = torch.zeros_like(self.logarithms)
        self.errors = torch.zeros_like(self.logarithms) if check else None
        whole = 0.0 if k == system.size else float("nan")
        self.residuals = torch.full(shape, whole, dtype=torch.float64, device=self.logarithms.device)
        self.finite = torch.ones(shape, dtype=torch.bool, device=self.logarithms.device)
        self.records: list[Tensor] = []
        self.record_steps: list[int] = []

    def told(self, first: int, steps: int) -> Tensor:
        """Return (steps,) whether sums up to the end of each step, from step `first` on, are needed."""
        counted = torch.arange(first, first + steps) + 1 - self.warmup  # at each end
        recorded = counted % self.every == 0 if self.every is not None else torch.zeros(steps, dtype=torch.bool)
        return (counted == 0) | (recorded & (counted > 0))

    def add(
        self,
        first: int,
        found: Tensor,
        lengths: Tensor | None,
        finite: Tensor,
        jacobians: Jacobians,
        told: Tensor,
    ) -> None:
        """Count a stretch: log |r| (networks, copies, sequences, steps, k) from step `first` on, and where they are."""
        skipped = min(max(0, self.warmup - first), found.shape[3])
        counted = max(first, self.warmup) - self.warmup  # steps counted before this stretch
        found = found[:, :, :, skipped:].to(self.logarithms.device)
        steps = found.shape[3]
        logarithms = found[:, 0]
        self.finite &= finite & ~logarithms.isnan().flatten(2).any(dim=-1)
        groups = _groups(told)[skipped:].to(found.device)
        groups = groups - groups[:1]
        if self.errors is not None and lengths is None:
            sums = _by_group(found, groups)
            apart = _apart(sums, self.system.exact_zeros) / Rounding.margin
            small = logarithms < self.underflow
            if self.system.exact_zeros:
                small &= ~logarithms.isneginf()
            apart = torch.where(_by_group(small.double(), groups) > 0, float("inf"), apart)
            # What is wrong with a direction is wrong with those made orthogonal to it.
            apart = apart.cummax(dim=-1).values
            lost = self.errors.unsqueeze(2) + apart.cumsum(dim=2) > _LOST
            self.errors += apart.sum(dim=2)
            highest = sums.amax(dim=1).clamp(min=self.underflow) + (10 * Rounding.margin * apart).clamp(max=1)
            # Lost directions may be any among each other: each may grow as much as the best of them.
            best = highest.masked_fill(~lost, -math.inf).amax(dim=-1, keepdim=True)
            self.ceilings += torch.where(lost, best, highest).sum(dim=2)
        elif self.errors is not None and lengths is not None:
            lengths = lengths.unflatten(0, self.finite.shape)[:, :, skipped:].to(self.logarithms)
            growth = (lengths.log() - logarithms).amax(dim=-1, keepdim=True).exp()
            small = (logarithms < self.underflow).any(dim=-1, keepdim=True)
            growth = torch.where(small, float("inf"), growth)
            apart = growth * _GROWTH * torch.finfo(self.dtype).eps
            self.errors += apart.sum(dim=2)
            self.ceilings += (logarithms.clamp(min=self.underflow) + apart.clamp(max=1)).sum(dim=2)
        if self.every is not None and steps:
            totals = self.logarithms.unsqueeze(2) + logarithms.cumsum(dim=2)
            for time in range(-(counted + 1) % self.every, steps, self.every):
                self.records.append(totals[:, :, time] / (counted + time + 1))
                self.record_steps.append(counted + time + 1)
        self.logarithms += logarithms.sum(dim=2)
        if self.k == self.system.size and isinstance(jacobians, BlockJacobians | FactoredJacobians):
            self._check_volumes(counted, logarithms.sum(dim=-1), jacobians, groups)

    def _check_volumes(
        self, counted: int, sums: Tensor, jacobians: BlockJacobians | FactoredJacobians, groups: Tensor
    ) -> None:
        """Compare sums of log |r| (networks, sequences, steps), of the last steps of the Jacobians, with log |det J| in
        some groups of steps, one sequence of every network in turn."""
        networks, sequences, steps = sums.shape
        per_network = jacobians.trajectories // networks  # copies among them
        for time in range(-counted % _SUM_RULE_EVERY, steps, _SUM_RULE_EVERY):
            sequence = (counted + time) // _SUM_RULE_EVERY % sequences
            chosen = torch.arange(networks, device=sums.device) * per_network + sequence
            group = (groups == groups[time]).nonzero().flatten().tolist()
            several = [jacobians.log_volumes(jacobians.steps - steps + each, chosen) for each in group]
            volumes = torch.stack(several).sum(dim=0)
            found = sums[:, sequence, group].sum(dim=-1)
            apart = torch.where(found.isneginf() & volumes.isneginf(), 0.0, (found - volumes).abs())
            self.residuals[:, sequence] = torch.maximum(self.residuals[:, sequence], apart)

    def all_above(self, limit: float, steps: int) -> bool:
        """Whether every network has an error above the limit after so many steps."""
        if self.errors is None or steps <= self.warmup:
            return False
        return bool((self.errors / (steps - self.warmup) > limit).flatten(1).any(dim=1).all())

    def growth(self, steps: int) -> Growth:
        counted = steps - self.warmup
        return Growth(
            logarithms=self.logarithms,
            errors=None if self.errors is None else self.errors / counted,
            ceilings=self.ceilings,
            residuals=self.residuals,
            finite=self.finite,
            steps=counted,
            running=torch.stack(self.records) if self.records else None,
            running_steps=torch.tensor(self.record_steps) if self.records else None,
        )


def _groups(told: Tensor) -> Tensor:
    """Return (steps,) the number of the group of steps, of two at most, that a kernel may have put together."""
    begins = torch.ones_like(told)
    begins[1::2] = told[:-1:2]
    return begins.cumsum(0) - 1


def _by_group(values: Tensor, groups: Tensor) -> Tensor:
    """(..., steps, k) -> (..., groups, k), summed."""
    count = int(groups[-1]) + 1 if len(groups) else 0
    return values.new_zeros(*values.shape[:-2], count, values.shape[-1]).index_add_(-2, groups, values)


def _apart(logarithms: Tensor, exact_zeros: bool) -> Tensor:
    """|log r - log r'| of trajectories and their disturbed copies, (networks, 2, sequences, groups of steps, k) ->
    without the copies; 0 where both are zero and a zero is the truth, infinite where one is or it is not."""
    one, other = logarithms[:, 0], logarithms[:, 1]
    apart = (one - other).abs().nan_to_num(nan=float("inf"))
    if exact_zeros:
        return torch.where(one.isneginf() & other.isneginf(), 0.0, apart)
    return torch.where(one.isneginf(), float("inf"), apart)
