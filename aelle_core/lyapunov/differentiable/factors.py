"""Pushed tangents as A = Q R with dead columns last, and what the adjoint sweep makes of the factors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.orthogonalisation import sorted_qr


@dataclass(frozen=True)
class Factors:
    """A[:, order] = Q R, with R = D N, D diagonal and N of unit diagonal.

    q        (trajectories, size, k) with orthonormal columns
    radii    (trajectories, k) the diagonal D, at least 0; 0 where a direction is dead
    unit     (trajectories, k, k) N; rows of dead directions are those of the identity
    order    (trajectories, k) the columns of A, dead ones last
    """

    q: Tensor
    radii: Tensor
    unit: Tensor
    order: Tensor

    @classmethod
    def of(cls, pushed: Tensor) -> "Factors":
        """Return the factors of (trajectories, size, k).

        A dead column (R[i, i] = 0) that stands before living ones takes a direction that they need: it goes to the
        end, and the matrix is factorised again.
        """
        order = torch.arange(pushed.shape[-1], device=pushed.device).expand(len(pushed), -1).clone()
        q, r = sorted_qr(pushed)
        for _ in range(pushed.shape[-1]):
            wrong = _dead_before_living(r)
            if not bool(wrong.any()):
                break
            dead = (r[wrong].diagonal(dim1=-2, dim2=-1) == 0).to(torch.uint8)
            order[wrong] = order[wrong].gather(-1, torch.sort(dead, dim=-1, stable=True).indices)
            again = pushed[wrong].gather(-1, order[wrong].unsqueeze(-2).expand_as(pushed[wrong]))
            q[wrong], r[wrong] = sorted_qr(again)
        diagonal = r.diagonal(dim1=-2, dim2=-1)
        signs = torch.where(diagonal < 0, -1.0, 1.0).to(q)
        over = torch.where(diagonal == 0, 0.0, 1 / diagonal.abs())
        unit = r.triu(1) * (signs * over).unsqueeze(-1) + torch.eye(r.shape[-1]).to(r)
        return cls(q * signs.unsqueeze(-2), diagonal.abs(), unit, order)

    def solve(self, right: Tensor) -> Tensor:
        """Return right R^-T = right D^-1 N^-T, with zeros for dead directions, (trajectories, size, k)."""
        over = torch.where(self.radii > 0, 1 / self.radii, 0.0)
        return torch.linalg.solve_triangular(self.unit.mT, right * over.unsqueeze(-2), upper=False, left=False)

    def carried_back(self, lower: Tensor) -> Tensor:
        """Return R^T X R^-T = N^T (D X D^-1) N^-T of lower triangular X (trajectories, k, k).

        The ratios of D below the diagonal shrink as exponents part: nothing is divided by a small number alone.
        """
        logarithms = self.radii.log()
        ratios = (logarithms.unsqueeze(-1) - logarithms.unsqueeze(-2)).exp()
        alive = self.radii > 0
        ratios = torch.where(alive.unsqueeze(-1) & alive.unsqueeze(-2), ratios, 0.0)
        scaled = self.unit.mT @ (lower * ratios)
        return torch.linalg.solve_triangular(self.unit.mT, scaled, upper=False, left=False)

    def to_columns(self, ordered: Tensor) -> Tensor:
        """Return (trajectories, rows, k), columns in the order of the factors, in the order of the columns of A."""
        return torch.empty_like(ordered).scatter_(-1, self.order.unsqueeze(-2).expand_as(ordered), ordered)


def _dead_before_living(r: Tensor) -> Tensor:
    """(trajectories,) whether a dead column stands before a living one."""
    dead = (r.diagonal(dim1=-2, dim2=-1) == 0).to(torch.int8)
    return (dead.diff(dim=-1) < 0).any(dim=-1)
