"""Tangent vectors along trajectories: what the engine asks of a kernel, and the one for torch on any device."""

from typing import Protocol

import torch
from torch import Tensor

from aelle_core.lyapunov.jacobians import Jacobians
from aelle_core.lyapunov.orthogonalisation import orthogonalise
from aelle_core.lyapunov.rounding import around_one


class Kernel(Protocol):
    """Makes Tangents."""

    def __call__(
        self,
        like: Tensor,
        trajectories: int,
        size: int,
        k: int,
        *,
        disturbed: Tensor | None,
        disturbance: float,
        lengths: bool,
    ) -> "Tangents":
        """`disturbed` (trajectories,) marks trajectories whose products J Q are multiplied by numbers a few
        `disturbance`s from 1; with `lengths` those of J Q's columns are told."""
        ...


class Tangents(Protocol):
    """k orthonormal tangent vectors of every trajectory, the leading columns of the identity at first."""

    def advance(self, jacobians: Jacobians, threads: int = 1) -> tuple[Tensor, Tensor | None]:
        """Move along all steps, orthogonalising after each, on so many threads where it can. Returns |r|, R's diagonal,
        (trajectories, steps, k), and, where asked for, the lengths of the columns of J Q, of the same shape."""
        ...


class TorchTangents:
    """Tangents as matrices Q (trajectories, size, k): one product and one factorisation of all of them a step.

    `disturbed` (trajectories,) marks those whose every product is multiplied by numbers a few `disturbance`s from 1.
    """

    def __init__(
        self,
        like: Tensor,
        trajectories: int,
        size: int,
        k: int,
        *,
        disturbed: Tensor | None = None,
        disturbance: float = 0.0,
        lengths: bool = False,
    ) -> None:
        self.q = torch.eye(size, k, dtype=like.dtype, device=like.device).expand(trajectories, -1, -1)
        self.labels = torch.arange(k, device=like.device).repeat(trajectories, 1)
        self.disturbed = disturbed
        self.disturbance = disturbance
        self.lengths = lengths
        self.generator = torch.Generator(like.device).manual_seed(0)

    def advance(self, jacobians: Jacobians, threads: int = 1) -> tuple[Tensor, Tensor | None]:
        radii, lengths = [], []
        for step in range(jacobians.steps):
            pushed = self._disturb(jacobians.push(step, self.q))
            self.q, r = orthogonalise(pushed)
            self._move_dead(pushed, r)
            radii.append(torch.empty_like(r).scatter_(-1, self.labels, r))
            if self.lengths:
                found = torch.linalg.vector_norm(pushed, dim=-2)
                lengths.append(torch.empty_like(r).scatter_(-1, self.labels, found))
        return torch.stack(radii, dim=1), torch.stack(lengths, dim=1) if self.lengths else None

    def _move_dead(self, pushed: Tensor, radii: Tensor) -> None:
        """Where a dead column (r = 0) stands before others that may live, move it to the end and orthogonalise again,
        as householder/algorithm.py does and tells why."""
        k = radii.shape[-1]
        rows = (pushed != 0).any(dim=-1).sum(dim=-1)
        moved = torch.zeros_like(rows)
        while True:
            dead = radii == 0
            first = torch.where(dead.any(dim=-1), dead.to(torch.uint8).argmax(dim=-1), k)
            wrong = (first < k - 1 - moved) & (rows != first)
            if not bool(wrong.any()):
                return
            place = torch.arange(k, device=radii.device).expand(int(wrong.sum()), -1)
            start = first[wrong].unsqueeze(-1)
            order = torch.where(place < start, place, place + 1)
            order[:, -1:] = start
            self.labels[wrong] = self.labels[wrong].gather(-1, order)
            pushed[wrong] = pushed[wrong].gather(-1, order.unsqueeze(-2).expand_as(pushed[wrong]))
            self.q[wrong], radii[wrong] = orthogonalise(pushed[wrong])
            moved[wrong] += 1

    def _disturb(self, matrices: Tensor) -> Tensor:
        if self.disturbed is None:
            return matrices
        factors = around_one(torch.empty_like(matrices), self.disturbance, self.generator)
        return torch.where(self.disturbed[:, None, None], matrices * factors, matrices)
