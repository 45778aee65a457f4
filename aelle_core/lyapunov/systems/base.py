"""Dynamical systems as the engine sees them: trajectories that advance and tell their Jacobians."""

from typing import Any, Protocol

import torch
from torch import Tensor

from aelle_core.lyapunov.jacobians import Jacobians


class Rounding:
    """Disturbances by a few units of the last place, for second copies of trajectories: what differs between a
    trajectory and its copy shows what rounding does to it."""

    units = 4

    def __init__(self, like: Tensor) -> None:
        self.size = self.units * torch.finfo(like.dtype).eps
        self._like = like
        self._generator = torch.Generator(like.device).manual_seed(0)

    def factors(self, *shape: int, copies_at: int) -> Tensor:
        """Factors near 1 of that shape, exactly 1 in the first half of dimension `copies_at`."""
        factors = self._like.new_empty(shape).uniform_(-1, 1, generator=self._generator)
        factors.mul_(self.size).add_(1)
        factors.narrow(copies_at, 0, shape[copies_at] // 2).fill_(1)
        return factors


class System(Protocol):
    """`networks` networks of `sequences` trajectories each. With copies, the trajectories of a network are all its
    sequences and then all of them again."""

    networks: int
    sequences: int
    size: int  # of the tangent space
    exact_zeros: bool  # whether a zero in the Jacobian is the truth, not an underflow
    like: Tensor  # has the dtype and device of the states

    def start(self, copies: int) -> Any:
        """The initial state of all trajectories."""
        ...

    def linearise(
        self, first: int, steps: int, state: Any, k: int, rounding: Rounding | None
    ) -> tuple[Any, Jacobians, Tensor]:
        """Steps `first` to `first + steps`, for k tangents: the new state, the Jacobians, and whether the states stayed
        finite (trajectories,). With `rounding`, second copies are disturbed."""
        ...

    def in_double(self, networks: list[int]) -> "System | None":
        """The same in float64, of those networks only; None where that cannot be."""
        ...

    def bytes_per_step(self, copies: int) -> int:
        """About how much memory one step of all trajectories takes in `linearise`."""
        ...
