"""The sum rule: log |r| of all directions of a step add up to log |det J|, which an elimination of J tells."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.factored import FactoredJacobians
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians

Known = BlockJacobians | FactoredJacobians | ReadoutJacobians
"""Jacobians whose determinants are known."""

_SELDOM, _RARELY = 64, 256  # steps between checks where a determinant would be dear, and where it would be more so
_LARGE = 256  # dimensions
_SMALL = 32  # dimensions up to which every step of every sequence is checked, beside second copies
_ROOM = 2**23  # bytes for matrices that are eliminated at once
ALLOWED = 1e-7  # nats: an elimination rounds too
_WIDEST = 50.0  # nats: what is further off is lost as a whole
_ROUNDINGS = 1e3  # of the last place, from which a small direction may be made
FURTHEST = -math.log(_ROUNDINGS * torch.finfo(torch.float64).eps)  # nats: what is so far below may be rounding alone


@dataclass(frozen=True)
class Volumes:
    """log |det J| of `steps` steps, (networks, sequences, steps), of what was looked at; NaN elsewhere."""

    logarithms: Tensor

    @classmethod
    def of(cls, jacobians: Known, like: Tensor, counted: int, blocks: Tensor, closely: int) -> "Volumes":
        """Of the last steps of the Jacobians, `like` (networks, sequences, steps), the first of which is the step of
        that number among those that count; the sequences are the first of each network. Every step of the first
        `closely` sequences; of the others, one sequence after another at every 64th step, with all of its block; beyond
        256 dimensions at every 256th."""
        networks, sequences, steps = like.shape
        per_network = jacobians.trajectories // networks  # copies among them
        wanted = torch.zeros(sequences, steps, dtype=torch.bool)
        wanted[:closely] = True
        apart = _SELDOM if jacobians.size <= _LARGE else _RARELY
        times = torch.tensor(range(-counted % apart, steps, apart), dtype=torch.int64)
        if closely < sequences and len(times):
            chosen = torch.zeros(sequences, int(blocks[-1]) + 1, dtype=torch.bool)
            chosen[closely + (counted + times) // apart % (sequences - closely), blocks[times]] = True
            wanted |= chosen[:, blocks]
        indices = wanted.nonzero()  # (looked at, 2): sequence, step
        residuals_by_group = torch.full(like.shape, math.nan, dtype=torch.float64, device=like.device)
        at_once = max(1, _ROOM // (networks * jacobians.size**2 * 8))
        base = torch.arange(networks, device=like.device).unsqueeze(1) * per_network
        for sequence, step in (part.unbind(1) for part in indices.to(like.device).split(at_once)):
            chosen = (base + sequence).flatten()
            several = (jacobians.steps - steps + step).repeat(networks)
            volumes = jacobians.log_volumes(several, chosen).unflatten(0, (networks, -1))
            residuals_by_group[:, sequence, step] = volumes.to(torch.float64)
        return cls(residuals_by_group)


def looks_often(size: int) -> bool:
    """Return whether determinants of `size` dimensions are cheap beside second copies of the tangents."""
    return size <= _SMALL


def residuals(sums: Tensor, volumes: Tensor) -> Tensor:
    """|sum of log |r| - log |det J||, both (networks, sequences, groups of steps); NaN where nothing was looked at, 0
    where both are -inf."""
    return torch.where(sums.isneginf() & volumes.isneginf(), 0.0, (sums - volumes).abs())


def contradicted(logarithms: Tensor, residual: Tensor, errors: Tensor, apart: Tensor) -> Tensor:
    """Return what the sum rule withdraws from each direction, in nats, (networks, sequences, groups, k).

    logarithms  (networks, sequences, groups, k) log |r|
    residual    (networks, sequences, groups)
    errors      (networks, sequences, groups, k) nats that copies say rounding may have changed: a residual of that
                size is known already
    apart       (networks, sequences, groups, k) nats that disturbed copies are apart, by far more than rounding

    A direction is contradicted when the residual may be made of its rounding: those so far below the largest that
    1,000 units of the last place of that reach it, and of these the ones that a disturbance moves by as much. Where no
    copy shows which, all so far below are; where none is, all are. A dead direction's zero is no rounding.
    """
    known = (10 * errors).sum(dim=-1) >= residual
    dead = logarithms.isneginf().any(dim=-1)
    doubtful = (residual > ALLOWED) & ~known & ~dead
    size = residual.nan_to_num(nan=0.0).clamp(min=ALLOWED, max=_WIDEST).unsqueeze(-1)
    below = logarithms.amax(dim=-1, keepdim=True) - logarithms
    small = below >= (size / (_ROUNDINGS * torch.finfo(torch.float64).eps)).log()
    moved = small & (10 * apart * apart.shape[-1] >= residual.unsqueeze(-1))
    small = torch.where(moved.any(dim=-1, keepdim=True), moved, small)
    small = small | ~small.any(dim=-1, keepdim=True)
    return torch.where(doubtful.unsqueeze(-1) & small, size, 0.0)
