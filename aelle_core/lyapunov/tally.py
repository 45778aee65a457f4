"""What is added up along trajectories: logarithms, what rounding may have changed, how far the sum rule is off."""

import math

import torch
from torch import Tensor

from aelle_core.lyapunov import sum_rule
from aelle_core.lyapunov.groups import Groups, blocks_of
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.kernels.jacobians import Jacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.stretches import Stretch
from aelle_core.lyapunov.systems import System

_GROWTH = 4  # roundings of a column that its length over r lets grow
_BATCHES = 10, 30  # of a single sequence's steps, for its standard error
_NOTHING = math.log(5e-324)  # of log |r|: what float64 takes for zero
_LOST = 0.1  # nats by which rounding has changed log |r| in all: the direction is another


class Tally:
    """Sums over counted steps.

    Of each network's sequences the first `checked`, all by default, have disturbed copies where `check` is asked for.
    """

    def __init__(
        self,
        system: System,
        k: int,
        warmup: int,
        dtype: torch.dtype,
        check: bool,
        running: int | None,
        underflow: float,
        steps: int,
        checked: int | None = None,
    ) -> None:
        shape = (system.networks, system.sequences)
        self.checked = system.sequences if checked is None else checked
        self.of_few = self.checked < system.sequences  # else nobody asks how much worse others are
        self.system, self.k, self.warmup, self.dtype, self.every = system, k, warmup, dtype, running
        self.underflow = underflow
        self.logarithms = system.like.new_zeros(*shape, k, dtype=torch.float64)
        self.ceilings = torch.zeros_like(self.logarithms[:, : self.checked])
        self.errors = torch.zeros_like(self.ceilings) if check else None
        whole = 0.0 if k == system.size else float("nan")
        self.dead = torch.zeros_like(self.ceilings, dtype=torch.bool)
        self.residuals = torch.full(shape, whole, dtype=torch.float64, device=self.logarithms.device)
        self.finite = torch.ones(shape, dtype=torch.bool, device=self.logarithms.device)
        self.spreads, self.paces = torch.zeros_like(self.residuals), torch.zeros_like(self.residuals)
        self.rises, self.risen = torch.zeros_like(self.residuals), torch.zeros_like(self.residuals)
        self.margins = torch.full_like(self.residuals, math.inf)
        self.strays = torch.zeros_like(self.residuals)
        self.to_count = steps - warmup
        self.batches: Tensor | None = None
        if shape[1] == 1 and self.to_count >= _BATCHES[0] ** 2:
            count = min(_BATCHES[1], math.isqrt(self.to_count))
            self.batches = self.logarithms.new_zeros(system.networks, count, k)
        self.records: list[Tensor] = []
        self.record_steps: list[int] = []

    def wanted(self, first: int, steps: int) -> Tensor:
        """Return (steps,) whether sums up to the end of each step, from step `first` on, are needed. Where directions
        may be dead, those of the warm-up are: what is made up in their place counts, and must be the same in copies."""
        counted = torch.arange(first, first + steps) + 1 - self.warmup  # at each end
        recorded = counted % self.every == 0 if self.every is not None else torch.zeros(steps, dtype=torch.bool)
        if self.batches is not None:
            batch, before = (ends * self.batches.shape[1] // self.to_count for ends in (counted, counted - 1))
            recorded |= batch != before
        warming_up = (counted <= 0) if self.system.exact_zeros else (counted == 0)
        return warming_up | (recorded & (counted > 0))

    def add(self, stretch: Stretch) -> None:
        """Count what happened in a stretch, whose first rows are the sequences; what follows are the checked ones'
        disturbed copies, one copy of all after the other."""
        rows = slice(0, self.system.sequences)
        skipped = min(max(0, self.warmup - stretch.first), stretch.logarithms.shape[2])
        counted = max(stretch.first, self.warmup) - self.warmup  # steps counted before this stretch
        logarithms = stretch.logarithms[:, rows, skipped:].to(self.logarithms.device)
        steps = logarithms.shape[2]
        self.finite &= stretch.finite[:, rows].to(logarithms.device) & ~logarithms.isnan().flatten(2).any(dim=-1)
        if self.of_few:
            self._add_rises(stretch.logarithms[:, rows].to(self.logarithms.device))
            if stretch.switching is not None:
                self._add_kinks(stretch.switching)
        if not steps:
            return
        together = stretch.logarithms[:, :, skipped:].to(logarithms)
        blocks = blocks_of(stretch.wanted)[skipped:]
        blocks = blocks - blocks[:1]
        groups = Groups.of(together, rows.stop, self.checked, blocks)
        residuals = self._residuals(counted, logarithms.sum(dim=-1), stretch.jacobians, blocks, groups)
        if self.errors is not None and stretch.lengths is None:
            original = logarithms[:, : self.checked]
            copies = together[:, rows.stop :].split(self.checked, dim=1)
            of_checked = groups.of_first(self.checked)
            sums = of_checked.summed(torch.stack([original, *copies], dim=1))
            raw = _apart(sums)
            small = original < self.underflow
            raw = torch.where(of_checked.summed(small.double()) > 0, float("inf"), raw)
            if self.system.exact_zeros:  # then a zero of all is the truth
                raw = raw.masked_fill(self._dead_by(sums), 0.0)
            apart = Rounding.error(raw)
            # Of numbers of many digits float64's determinants know less.
            if residuals is not None and self.underflow > -math.inf:
                off = residuals[:, : self.checked]
                apart = torch.maximum(apart, sum_rule.contradicted(sums[:, 0], off, apart, raw))
            # What is wrong with a direction is wrong with those made orthogonal to it.
            apart = apart.cummax(dim=-1).values
            lost = self.errors.unsqueeze(2) + apart.cumsum(dim=2) > _LOST
            self.errors += apart.sum(dim=2)
            highest = sums.amax(dim=1).clamp(min=self.underflow) + (10 * raw).clamp(max=1)
            # Lost directions may be any among each other: each may grow as much as the best of them.
            best = highest.masked_fill(~lost, -math.inf).amax(dim=-1, keepdim=True)
            self.ceilings += torch.where(lost, best, highest).sum(dim=2)
        elif self.errors is not None and stretch.lengths is not None:
            lengths = stretch.lengths[:, rows, skipped:].to(self.logarithms)
            growth = (lengths.log() - logarithms).amax(dim=-1, keepdim=True).exp()
            small = (logarithms < self.underflow).any(dim=-1, keepdim=True)
            growth = torch.where(small, float("inf"), growth)
            apart = growth * _GROWTH * torch.finfo(self.dtype).eps
            self.errors += apart.sum(dim=2)
            self.ceilings += (logarithms.clamp(min=self.underflow) + apart.clamp(max=1)).sum(dim=2)
        self.spreads = torch.maximum(self.spreads, _spread(logarithms, self.system.exact_zeros).amax(dim=-1))
        if self.of_few:
            self.paces = torch.maximum(self.paces, _pace(logarithms, blocks, self.system.exact_zeros))
        if self.every is not None:
            totals = self.logarithms.unsqueeze(2) + logarithms.cumsum(dim=2)
            for time in range(-(counted + 1) % self.every, steps, self.every):
                self.records.append(totals[:, :, time] / (counted + time + 1))
                self.record_steps.append(counted + time + 1)
        if self.batches is not None:
            count = self.batches.shape[1]
            of_step = (counted + torch.arange(steps)) * count // self.to_count
            numbers, lengths = of_step.unique_consecutive(return_counts=True)
            for number, part in zip(numbers.tolist(), logarithms[:, 0].split(lengths.tolist(), dim=1), strict=True):
                self.batches[:, number] += part.sum(dim=1)
        self.logarithms += logarithms.sum(dim=2)

    def _dead_by(self, sums: Tensor) -> Tensor:
        """Return where directions are dead, (networks, sequences, groups of steps, k), in that group or before, by
        sums of log |r| of trajectories and their copies (networks, copies, sequences, groups, k), and note it. What is
        made up in the place of a dead direction depends on the steps that share a factorisation, and is no error."""
        died = (sums.isneginf().all(dim=1).cumsum(dim=2) > 0) | self.dead.unsqueeze(2)
        self.dead = died[:, :, -1]
        return died

    def _add_rises(self, logarithms: Tensor) -> None:
        """Note by how much log |r| (networks, sequences, steps, k) of the direction that grows most at a step rise from
        any step to a later one: about as much grows what a step rounds."""
        grown = logarithms.amax(dim=-1).clamp(min=_NOTHING).cumsum(dim=-1)  # where all are dead, others may grow later
        lowest = torch.minimum(grown.cummin(dim=-1).values, -self.risen.unsqueeze(-1))
        risen = grown - lowest
        self.rises = torch.maximum(self.rises, risen.amax(dim=-1))
        self.risen = risen[..., -1]

    def _add_kinks(self, switching: Tensor) -> None:
        """Note how near to 0 switching functions (networks, rows, steps, functions) come, and how far a disturbance
        moves them. Where all of a step are 0, as before the first input, or one is in all rows, as that of a unit
        without weights, nothing has been added up or rounded."""
        plain = switching[:, : self.system.sequences]
        unused = (plain == 0).all(dim=-1, keepdim=True) | (switching == 0).all(dim=1, keepdim=True)
        near = plain.abs().masked_fill(unused, math.inf).flatten(2).amin(dim=-1)
        self.margins = torch.minimum(self.margins, near)
        for copy in switching[:, self.system.sequences :].split(self.checked, dim=1):
            moved = (copy - plain[:, : self.checked]).abs().nan_to_num(nan=0.0)  # of two infinite ones
            self.strays[:, : self.checked] = torch.maximum(self.strays[:, : self.checked], moved.flatten(2).amax(-1))

    def _residuals(
        self, counted: int, sums: Tensor, jacobians: Jacobians, blocks: Tensor, groups: Groups
    ) -> Tensor | None:
        """How far sums of log |r| (networks, sequences, steps), of the last steps of the Jacobians, are from log |det
        J|, factorisation by factorisation; NaN where that was not looked at, None where it cannot be."""
        if self.k < self.system.size or not isinstance(jacobians, sum_rule.Known):
            return None
        closely = self.checked if self.errors is not None and sum_rule.looks_often(self.system.size) else 0
        volumes = sum_rule.Volumes.of(jacobians, sums, counted, blocks, closely).logarithms
        residuals = sum_rule.residuals(*(groups.summed(totals.unsqueeze(-1)).squeeze(-1) for totals in (sums, volumes)))
        if residuals.shape[-1]:
            self.residuals = torch.maximum(self.residuals, residuals.nan_to_num(nan=0.0, posinf=math.inf).amax(dim=-1))
        return residuals

    def all_above(self, limit: float, steps: int) -> bool:
        """Return whether every network has an error above the limit after this many steps."""
        if self.errors is None or steps <= self.warmup:
            return False
        return bool((self.errors / (steps - self.warmup) > limit).flatten(1).any(dim=1).all())

    def _rounding_errors(self, counted: int) -> Tensor:
        assert self.errors is not None
        return torch.full_like(self.errors, math.inf) if self.system.unchecked else self.errors / counted

    def _batch_means(self) -> Tensor:
        assert self.batches is not None
        count = self.batches.shape[1]
        sizes = (torch.arange(self.to_count) * count // self.to_count).bincount(minlength=count)
        return self.batches / sizes.to(self.batches).unsqueeze(-1)

    def growth(self, steps: int) -> Growth:
        """Return what happened in so many steps along the checked sequences, all by default."""
        errors = None if self.errors is None else self._rounding_errors(steps - self.warmup)
        return self._growth(steps, slice(0, self.checked), errors, self.ceilings)

    def growth_of_others(self, steps: int) -> Growth:
        """Return what happened along the others, of which no errors are known."""
        rows = slice(self.checked, None)
        return self._growth(steps, rows, None, torch.zeros_like(self.logarithms[:, rows]))

    def _growth(self, steps: int, rows: slice, errors: Tensor | None, ceilings: Tensor) -> Growth:
        counted = steps - self.warmup
        return Growth(
            logarithms=self.logarithms[:, rows],
            errors=errors,
            ceilings=ceilings,
            residuals=self.residuals[:, rows],
            finite=self.finite[:, rows],
            spreads=self.spreads[:, rows],
            paces=self.paces[:, rows],
            rises=self.rises[:, rows],
            margins=self.margins[:, rows],
            strays=self.strays[:, rows],
            steps=counted,
            batches=None if self.batches is None or counted < self.to_count else self._batch_means(),
            running=torch.stack(self.records)[:, :, rows] if self.records else None,
            running_steps=torch.tensor(self.record_steps) if self.records else None,
        )


def _spread(sums: Tensor, exact_zeros: bool) -> Tensor:
    """Return how far the least log |r| is below the largest, (networks, sequences, steps), of sums (networks,
    sequences, steps, k), which are 0 where a step leaves its growth to another. Where zeros are the truth, dead
    directions do not count."""
    alive = sums.masked_fill(sums.isneginf(), math.inf) if exact_zeros else sums
    return (sums.amax(dim=-1) - alive.amin(dim=-1)).nan_to_num(nan=math.inf)


def _pace(logarithms: Tensor, blocks: Tensor, exact_zeros: bool) -> Tensor:
    """Return nats by which two steps spread log |r| (networks, sequences, steps, k), on average over a block of steps,
    where that is most, (networks, sequences): however few of its steps shared a factorisation."""
    count = int(blocks[-1]) + 1
    on_device = blocks.to(logarithms.device)
    sums = logarithms.new_zeros(*logarithms.shape[:2], count, logarithms.shape[-1])
    lengths = torch.bincount(on_device, minlength=count)
    return (2 * _spread(sums.index_add_(2, on_device, logarithms), exact_zeros) / lengths).amax(dim=-1)


def _apart(logarithms: Tensor) -> Tensor:
    """|log r - log r'| of trajectories and their disturbed copies, (networks, copies, sequences, groups of steps, k) ->
    the largest of all copies; infinite where one of them is zero."""
    original, others = logarithms[:, :1], logarithms[:, 1:]
    return (original - others).abs().nan_to_num(nan=float("inf"), posinf=float("inf")).amax(dim=1)
