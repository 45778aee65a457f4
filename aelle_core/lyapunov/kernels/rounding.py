"""Disturbances of a few units of the last place: what they change, rounding may have changed."""

import torch
from torch import Tensor


def around_one(room: Tensor, size: float, source: torch.Generator) -> Tensor:
    """Fill the tensor with numbers at least half of `size` and at most `size` away from 1, on either side: a smaller
    disturbance could come out as none."""
    room.uniform_(-0.5, 0.5, generator=source)
    return room.add_(0.5 * room.sign()).mul_(size).add_(1)


class Rounding:
    """For second copies of trajectories, whose difference from the first shows what rounding does."""

    units = 16  # of the last place; a difference of results is divided by `margin`
    margin = 4

    def __init__(self, like: Tensor) -> None:
        self.size = self.units * torch.finfo(like.dtype).eps
        self._like = like
        self.generator = torch.Generator(like.device).manual_seed(0)

    def factors(self, *shape: int, copies_at: int) -> Tensor:
        """Factors near 1 of that shape, exactly 1 in the first half of dimension `copies_at`."""
        factors = around_one(self._like.new_empty(shape), self.size, self.generator)
        factors.narrow(copies_at, 0, shape[copies_at] // 2).fill_(1)
        return factors
