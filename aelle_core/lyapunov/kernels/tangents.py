"""Tangent vectors along trajectories: what the engine asks of a kernel, and the one for torch on any device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.jacobians import Jacobians
from aelle_core.lyapunov.kernels.orthogonalisation import orthogonalise
from aelle_core.lyapunov.kernels.rounding import Rounding, around_one

TOGETHER = 8
"""Steps that may share one factorisation, at most."""


@dataclass(frozen=True)
class Frame:
    """What is asked of a kernel: k tangents in `size` dimensions along so many trajectories.

    like         has the dtype and device of the tangents
    disturbed    (trajectories,) marks those whose products J Q are multiplied by numbers `disturbance` from 1 at most
    lengths      whether the lengths of J Q's columns are told
    """

    like: Tensor
    trajectories: int
    size: int
    k: int
    disturbed: Tensor | None = None
    disturbance: float = 0.0
    lengths: bool = False


class Tangents(Protocol):
    """k orthonormal tangent vectors of every trajectory, the leading columns of the identity at first."""

    def advance(
        self, jacobians: Jacobians, threads: int = 1, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Move along all steps, orthogonalising after each, on up to `threads` threads. Returns log |r|, of R's
        diagonal, in float64, (trajectories, steps, k), and, where asked for, the lengths of the columns of J Q.

        `wanted` (steps,) marks the steps at whose end the sum of log |r| so far is wanted, all by default. Elsewhere, a
        step may leave its growth to a later one, of the same TOGETHER steps, counted from the first."""
        ...


Kernel = Callable[[Frame], Tangents]


class TorchTangents:
    """Tangents as matrices Q (trajectories, size, k): one product and one factorisation of all of them a step."""

    def __init__(self, frame: Frame) -> None:
        like = frame.like
        identity = torch.eye(frame.size, frame.k, dtype=like.dtype, device=like.device)
        self.q = identity.expand(frame.trajectories, -1, -1)
        self.labels = torch.arange(frame.k, device=like.device).repeat(frame.trajectories, 1)
        self.frame = frame
        self.generator = Rounding.source(like.device)

    def advance(
        self, jacobians: Jacobians, threads: int = 1, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        radii, lengths = [], []
        for step in range(jacobians.steps):
            pushed = self._disturb(jacobians.push(step, self.q))
            self.q, r = orthogonalise(pushed)
            self._move_dead(pushed, r)
            self.q = self._disturb_directions(self.q)
            radii.append(torch.empty_like(r).scatter_(-1, self.labels, r))
            if self.frame.lengths:
                column_lengths = torch.linalg.vector_norm(pushed, dim=-2)
                lengths.append(torch.empty_like(r).scatter_(-1, self.labels, column_lengths))
        logarithms = torch.stack(radii, dim=1).double().log_()
        return logarithms, torch.stack(lengths, dim=1) if self.frame.lengths else None

    def _move_dead(self, pushed: Tensor, radii: Tensor) -> None:
        """Where a dead column (r = 0) stands before others that may live, move it to the end and orthogonalise again,
        as householder/algorithm.py does and tells why."""
        if not bool((radii == 0).any()):
            return
        k = self.frame.k
        rows = (pushed != 0).any(dim=-1).sum(dim=-1)
        moved = torch.zeros_like(rows)
        while True:
            dead = radii == 0
            first = torch.where(dead.any(dim=-1), dead.to(torch.uint8).argmax(dim=-1), k)
            wrong = (first < k - 1 - moved) & (rows != first)
            if not bool(wrong.any()):
                return
            source = torch.arange(k, device=radii.device).expand(int(wrong.sum()), -1)
            start = first[wrong].unsqueeze(-1)
            order = torch.where(source < start, source, source + 1)
            order[:, -1:] = start
            self.labels[wrong] = self.labels[wrong].gather(-1, order)
            pushed[wrong] = pushed[wrong].gather(-1, order.unsqueeze(-2).expand_as(pushed[wrong]))
            self.q[wrong], radii[wrong] = orthogonalise(pushed[wrong])
            moved[wrong] += 1

    def _disturb(self, matrices: Tensor) -> Tensor:
        """As much as orthogonalising them rounds: householder/push.py tells why rows count."""
        if self.frame.disturbed is None:
            return matrices
        chosen = matrices[self.frame.disturbed]
        largest = chosen.abs().amax(dim=-2, keepdim=True)
        shares = (chosen.abs() / largest).nan_to_num(nan=0.0).cummax(dim=-1).values
        factors = around_one(torch.empty_like(chosen), self.frame.disturbance, self.generator)
        changed = matrices.clone()
        shares = shares.where(_coupled(chosen), 0.0)
        changed[self.frame.disturbed] = chosen + (factors - 1) * shares * largest
        return changed

    def _disturb_directions(self, q: Tensor) -> Tensor:
        if self.frame.disturbed is None:
            return q
        factors = around_one(torch.empty_like(q), self.frame.disturbance, self.generator)
        return torch.where(self.frame.disturbed[:, None, None], q * factors, q)


def _coupled(matrices: Tensor) -> Tensor:
    """Return whether row i and column j of each matrix hang together, (matrices, rows, columns): see
    householder/coupling.py."""
    entries = (matrices != 0).to(torch.float32)
    joined = entries @ entries.mT + torch.eye(entries.shape[-2], device=entries.device)
    for _ in range(entries.shape[-2].bit_length()):  # twice as far each time
        joined = (joined @ joined).clamp(max=1)
    return joined @ entries > 0
