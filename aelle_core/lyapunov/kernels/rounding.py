"""Disturbances of many units of the last place: what they change, rounding may have changed."""

from typing import ClassVar

import torch
from torch import Tensor


def around_one(room: Tensor, size: float, source: torch.Generator) -> Tensor:
    """Fill a tensor of any shape with numbers at least half of `size` and at most `size` away from 1, on either side: a
    smaller disturbance could come out as none."""
    room.uniform_(-0.5, 0.5, generator=source)
    return room.add_(0.5 * room.sign()).mul_(size).add_(1)


class Rounding:
    """For second copies of trajectories, whose difference from the first shows what rounding does.

    Where every digit has cancelled, what is left is a small whole number of units of the last place. Two copies that
    are disturbed by few units often come out with the same number there, and agree on what is wrong. With `units` many
    they agree once in so many times. What keeps its digits answers in proportion, so that the difference is divided.
    """

    units: ClassVar[int] = 4096  # of the last place
    shown: ClassVar[float] = 4.0  # units of the disturbance that one rounding stands for
    proportional: ClassVar[float] = 1e-4  # nats: a larger difference is no longer in proportion to the disturbance
    draw: ClassVar[int] = 0  # which disturbance of all those that could be drawn

    def __init__(self, like: Tensor, copies: int = 2) -> None:
        self.copies = copies  # of every trajectory, the undisturbed one among them
        self.size = self.units * torch.finfo(like.dtype).eps
        self._like = like
        self.generator = self.source(like.device)

    @classmethod
    def source(cls, device: torch.device | str) -> torch.Generator:
        """Random numbers for a disturbance."""
        return torch.Generator(device).manual_seed(cls.draw)

    @classmethod
    def error(cls, apart: Tensor) -> Tensor:
        """Return what rounding may have done, on the large side, to logarithms that a disturbance moves this far apart;
        any shape."""
        in_proportion = apart * (16.0 / cls.shown / cls.units)
        return torch.where(apart > cls.proportional, apart / cls.shown, in_proportion)

    def disturbed(self, terms: Tensor, networks: int) -> Tensor:
        """Return terms (trajectories, ...), of each network all copies in turn, disturbed in all but the first copy."""
        parts = terms.unflatten(0, (networks, self.copies, -1))
        return (parts * self.factors(*parts.shape, copies_at=1)).flatten(0, 2)

    def factors(self, *shape: int, copies_at: int) -> Tensor:
        """Return factors near 1 of any shape, exactly 1 in the first of the copies in dimension `copies_at`."""
        factors = around_one(self._like.new_empty(shape), self.size, self.generator)
        factors.narrow(copies_at, 0, shape[copies_at] // self.copies).fill_(1)
        return factors
