"""Jacobians of networks that read their own output."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, OnBlocks, rows_finite
from aelle_core.lyapunov.kernels.rounding import Rounding


@dataclass(frozen=True)
class ReadoutJacobians(OnBlocks):
    """Jacobians of h' = f(h, y), y' = W h'_top + b + r y, by (h, y), as products of two matrices:

        J = L M,    L = [ I  0 ]    M = [ A   B  ]
                        [ W  I ]        [ 0  r I ]

    W stands at the columns of h_top, the hidden state that is read. L has determinant 1.

    own       A (trajectories, steps, inner size, inner size)
    by_input  B TRANSPOSED, (trajectories, steps, features, inner size)
    weight    W (networks, features, units)
    residual  r (networks,)
    top       the number of h_top's first row
    """

    by_input: Tensor
    weight: Tensor
    residual: Tensor
    top: int

    @property
    def features(self) -> int:
        return self.weight.shape[1]

    @property
    def size(self) -> int:
        return self.own.size + self.features

    @property
    def dense_columns(self) -> int:
        """All: from this column on, nothing but diagonals stands in the blocks."""
        return self.size

    def disturbed(self, rounding: Rounding, *, floor: bool) -> "ReadoutJacobians":
        """Return what `BlockJacobians.disturbed` returns, with B disturbed too, before W adds rows up."""
        by_input = rounding.disturbed(self.by_input, len(self.weight))
        return replace(self, own=self.own.disturbed(rounding, floor=floor), by_input=by_input)

    def _without_readout(self, step: int | Tensor, chosen: Tensor | slice) -> Tensor:
        """M as a dense matrix, (trajectories, size, size)."""
        rows = self.own.at(step, chosen)
        whole = rows.new_zeros(len(rows), self.size, self.size)
        inner = self.own.size
        whole[:, :inner, :inner] = rows
        whole[:, :inner, inner:] = self.by_input[chosen, step].mT
        corner = whole[:, inner:, inner:].diagonal(dim1=-2, dim2=-1)
        corner += self.residual.repeat_interleave(len(rows) // len(self.residual)).unsqueeze(-1)
        return whole

    def at(self, step: int | Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the Jacobians of one step as dense matrices (trajectories, size, size); see `BlockJacobians.at`."""
        whole = self._without_readout(step, chosen)
        read = whole[:, self.top : self.top + self.weight.shape[2]].unflatten(0, (len(self.weight), -1))
        whole[:, self.own.size :] += (self.weight.unsqueeze(1) @ read).flatten(0, 1)
        return whole

    def log_volumes(self, step: int | Tensor, chosen: Tensor) -> Tensor:
        """Return log |det J| = log |det M| of the chosen trajectories, (trajectories,), as many of every network."""
        return torch.linalg.slogdet(self._without_readout(step, chosen)).logabsdet

    def finite(self) -> Tensor:
        """(trajectories,) whether every number that changes from step to step is finite."""
        return self.own.finite() & rows_finite(self.by_input)

    def dense(self) -> BlockJacobians:
        """Return the same as one dense term."""
        return BlockJacobians.of_dense(torch.stack([self.at(step).mT for step in range(self.steps)], dim=1))
