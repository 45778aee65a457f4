"""Sums of log |r| along trajectories, and their exact gradient by one adjoint sweep.

With A_t = J_t Q_{t-1} = Q_t R_t and weights w of the sums of log R[i, i], the gradient is

    dL = sum over t of <V_t, dJ_t Q_{t-1}>        V_t = Q_t X_t R_t^-T + (I - Q_t Q_t^T) G_t R_t^-T
    X_t = C_t + tril(Q_t^T G_t, -1)               G_t = J_{t+1}^T V_{t+1}, 0 at the end

where C_t is diag(w) where step t counts, and Q and V are constants of the differentiation. This is the backward pass
of the QR decomposition (Seeger et al., Auto-differentiating linear algebra, 2017) with what cancels left out: the
sums do not change when a tangent is moved along an earlier one, so that the strict upper part of Q_t^T G_t is zero.
With all tangents, Q_{t-1}^T G_{t-1} = R_t^T X_t R_t^-T: ratios of radii alone, which shrink as exponents part, where
backward through torch.linalg.qr divides by each radius.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aelle_core.lyapunov.differentiable.factors import Factors
from aelle_core.lyapunov.differentiable.linear import Linear
from aelle_core.lyapunov.differentiable.systems import Advance, DifferentiableSystem


@dataclass(frozen=True)
class Plan:
    """How long trajectories are followed, and where they are cut.

    bounds     the first step of every segment, and the end
    forgotten  the bounds that gradients through states do not cross
    """

    k: int
    warmup: int
    every: int
    bounds: tuple[int, ...]
    forgotten: frozenset[int]

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.bounds[-1]

    def factorises(self, step: int) -> bool:
        """Return whether tangents are made orthonormal after step number `step` (from 0)."""
        done = step + 1
        return done % self.every == 0 or done == self.warmup or done in self.bounds


@dataclass(frozen=True)
class _Group:
    """Steps between two factorisations: their Jacobians, the tangents before each, and the factors after the last."""

    first: int
    linears: list[Linear]
    tangents: list[Tensor]
    factors: Factors
    labels: Tensor


@dataclass(frozen=True)
class _Start:
    """Where a segment starts: the carried state, the tangents, and which exponent each column belongs to."""

    state: Tensor
    tangents: Tensor
    labels: Tensor


def _forward(
    advance: Advance, inputs: Tensor | None, plan: Plan, start: _Start, first: int, last: int, keep: bool
) -> tuple[_Start, Tensor, list[_Group]]:
    """Follow a segment. Returns where the next one starts, the sums of log |r| (trajectories, k), and its groups."""
    state, tangents, labels = start.state, start.tangents, start.labels
    sums = torch.zeros(labels.shape, dtype=state.dtype, device=state.device)
    groups: list[_Group] = []
    linears: list[Linear] = []
    before: list[Tensor] = []
    for step in range(first, last):
        state, linear = advance(None if inputs is None else inputs[:, step], state)
        if keep:
            linears.append(linear)
            before.append(tangents)
        tangents = linear.push(tangents)
        if plan.factorises(step):
            factors = Factors.of(tangents)
            labels = labels.gather(-1, factors.order)
            if step >= plan.warmup:
                sums.scatter_add_(-1, labels, factors.radii.log())
            if keep:
                groups.append(_Group(step + 1 - len(linears), linears, before, factors, labels))
                linears, before = [], []
            tangents = factors.q
    return _Start(state, tangents, labels), sums, groups


def _backward(groups: Sequence[_Group], plan: Plan, weights: Tensor, adjoint: Tensor | None) -> Any:
    """Sweep back over a segment. `adjoint` is Q^T G after it where all tangents are followed, G otherwise, None at the
    end. Returns V for every step and the adjoint before the segment."""
    cotangents: dict[int, Tensor] = {}
    for group in reversed(groups):
        factors, q = group.factors, group.factors.q
        whole = q.shape[-1] == q.shape[-2]
        last = group.first + len(group.linears) - 1
        counted = weights.gather(-1, group.labels) if last >= plan.warmup else torch.zeros_like(factors.radii)
        lower = torch.diag_embed(torch.where(factors.radii > 0, counted, 0.0))
        if adjoint is None:
            right = q @ lower
        elif whole:
            lower = lower + adjoint.tril(-1)
            right = q @ lower
        else:
            inside = q.mT @ adjoint
            lower = lower + inside.tril(-1)
            right = q @ lower + adjoint - q @ inside
        v = factors.to_columns(factors.solve(right))
        for offset in range(len(group.linears) - 1, -1, -1):
            cotangents[group.first + offset] = v
            if offset or not whole:
                v = group.linears[offset].pull(v)
        adjoint = _by_columns(factors, factors.carried_back(lower)) if whole else v
    return cotangents, adjoint


def _by_columns(factors: Factors, ordered: Tensor) -> Tensor:
    """(trajectories, k, k) with rows and columns in the order of the columns of A."""
    return factors.to_columns(factors.to_columns(ordered).mT).mT


class SumsOfLogarithms(torch.autograd.Function):
    """Sums of log |r| (trajectories, k) of a system along inputs, over the counted steps; -inf where dead, which has no
    gradient. Memory grows with the longest segment and the number of segments."""

    @staticmethod
    def forward(
        ctx: Any,
        system: DifferentiableSystem,
        plan: Plan,
        start: Tensor,
        inputs: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        advance = system.prepare()
        eye = torch.eye(system.size, plan.k, dtype=start.dtype, device=start.device)
        labels = torch.arange(plan.k, device=start.device).expand(len(start), -1)
        position = _Start(start.detach(), eye.expand(len(start), -1, -1), labels)
        starts, total = [], torch.zeros(labels.shape, dtype=start.dtype, device=start.device)
        ctx.groups = None
        for first, last in zip(plan.bounds, plan.bounds[1:], strict=False):
            starts.append(position)
            keep = len(plan.bounds) == 2 and any(ctx.needs_input_grad)
            position, sums, groups = _forward(advance, inputs, plan, position, first, last, keep)
            total += sums
            ctx.groups = groups if keep else None
        ctx.system, ctx.plan, ctx.starts, ctx.inputs, ctx.tensors = system, plan, starts, inputs, tensors
        ctx.save_for_backward(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (total,) = ctx.saved_tensors
        system, plan, tensors = ctx.system, ctx.plan, ctx.tensors
        weights = torch.where(total.isneginf(), 0.0, gradients[0])
        inputs = None if ctx.inputs is None else ctx.inputs.detach().requires_grad_(ctx.needs_input_grad[3])
        sums: list[Tensor | None] = [None] * (2 + len(tensors))  # of the start, of the inputs, of the tensors
        adjoint, through_state = None, torch.zeros_like(ctx.starts[0].state)
        segments = list(zip(plan.bounds, plan.bounds[1:], strict=False))
        for (first, last), start in zip(reversed(segments), reversed(ctx.starts), strict=True):
            with torch.no_grad():
                groups = ctx.groups
                if groups is None:
                    *_, groups = _forward(system.prepare(), inputs, plan, start, first, last, keep=True)
                cotangents, adjoint = _backward(groups, plan, weights, adjoint)
                if last in plan.forgotten:
                    through_state = torch.zeros_like(through_state)
            with torch.enable_grad():
                begin = start.state.detach().requires_grad_()
                advance, state = system.prepare(), begin
                contributions = []
                tangents = {group.first + at: tangent for group in groups for at, tangent in enumerate(group.tangents)}
                for step in range(first, last):
                    state, linear = advance(None if inputs is None else inputs[:, step], state)
                    contributions.append((cotangents[step] * linear.push(tangents[step])).sum())
                value = torch.stack(contributions).sum() + (through_state * state).sum()
                wanted = [begin, *([inputs] if inputs is not None and inputs.requires_grad else []), *tensors]
                pulled = torch.autograd.grad(value, wanted, retain_graph=True, allow_unused=True)
            through_state = torch.zeros_like(begin) if pulled[0] is None else pulled[0]
            rest = list(pulled[1:])
            of_inputs = rest.pop(0) if inputs is not None and inputs.requires_grad else None
            for at, gradient in enumerate([of_inputs, *rest], 1):
                if gradient is not None:
                    so_far = sums[at]
                    sums[at] = gradient if so_far is None else so_far + gradient
        sums[0] = through_state if ctx.needs_input_grad[2] else None
        return None, None, *sums
