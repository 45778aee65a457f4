"""One step's Jacobian as an operator on tangents: dense for cells, products alone for step functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Linear(Protocol):
    """The Jacobian J of one step along many trajectories."""

    def push(self, tangents: Tensor) -> Tensor:
        """Return J U for tangents U (trajectories, size, k); differentiable where gradients are recorded."""
        ...

    def pull(self, cotangents: Tensor) -> Tensor:
        """Return J^T V for cotangents V (trajectories, size, k)."""
        ...


@dataclass(frozen=True)
class DenseLinear:
    """A Jacobian as matrices (trajectories, size, size)."""

    matrices: Tensor

    def push(self, tangents: Tensor) -> Tensor:
        return self.matrices @ tangents

    def pull(self, cotangents: Tensor) -> Tensor:
        return self.matrices.mT @ cotangents


@dataclass(frozen=True)
class MapLinear:
    """The Jacobian of `function`, states (rows, size) -> states, at `state` (trajectories, size), by automatic
    differentiation of copies of every trajectory: one copy for each tangent.

    `function` gets rows trajectory by trajectory, `copies` times each, and the number of copies.
    """

    function: Callable[[Tensor, int], Tensor]
    state: Tensor

    def push(self, tangents: Tensor) -> Tensor:
        columns, rows, many = self._rows(tangents)
        pushed: Tensor = torch.func.jvp(lambda states: self.function(states, many), (rows,), (columns,))[1]
        return _matrices(pushed, tangents)

    def pull(self, cotangents: Tensor) -> Tensor:
        columns, rows, many = self._rows(cotangents)
        with torch.enable_grad():
            given = rows.detach().requires_grad_()
            (pulled,) = torch.autograd.grad(self.function(given, many), given, columns.detach())
        return _matrices(pulled, cotangents)

    def _rows(self, columns: Tensor) -> tuple[Tensor, Tensor, int]:
        many = columns.shape[-1]
        return columns.mT.reshape(-1, columns.shape[-2]), self.state.repeat_interleave(many, dim=0), many


def _matrices(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (trajectories times k, size) -> (trajectories, size, k)."""
    return rows.reshape(like.shape[0], like.shape[2], like.shape[1]).mT
