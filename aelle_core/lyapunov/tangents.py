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
            while bool((moved := _dead_before_living(r)).any()):
                # A dead column has no direction: what is orthogonalised against one made up for it is spoilt.
                order = (r[moved] == 0).to(torch.uint8).argsort(dim=-1, stable=True)
                self.labels[moved] = self.labels[moved].gather(-1, order)
                pushed[moved] = pushed[moved].gather(-1, order.unsqueeze(-2).expand_as(pushed[moved]))
                self.q[moved], r[moved] = orthogonalise(pushed[moved])
            radii.append(torch.empty_like(r).scatter_(-1, self.labels, r))
            if self.lengths:
                found = torch.linalg.vector_norm(pushed, dim=-2)
                lengths.append(torch.empty_like(r).scatter_(-1, self.labels, found))
        return torch.stack(radii, dim=1), torch.stack(lengths, dim=1) if self.lengths else None

    def _disturb(self, matrices: Tensor) -> Tensor:
        if self.disturbed is None:
            return matrices
        factors = around_one(torch.empty_like(matrices), self.disturbance, self.generator)
        return torch.where(self.disturbed[:, None, None], matrices * factors, matrices)


def _dead_before_living(radii: Tensor) -> Tensor:
    """(matrices,) whether a direction with r = 0 comes before one with r > 0."""
    dead = radii == 0
    return (dead[:, :-1] & ~dead[:, 1:]).any(dim=-1)
