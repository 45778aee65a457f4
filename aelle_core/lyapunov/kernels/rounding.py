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

    def __init__(self, like: Tensor, plain: int, rows: int) -> None:
        self.plain, self.rows = plain, rows  # of a network's rows the first are as they are, the others disturbed
        self.size = self.size_for(like)
        self._like = like
        self.generator = self.source(like.device)

    @classmethod
    def source(cls, device: torch.device | str) -> torch.Generator:
        """Random numbers for a disturbance."""
        return torch.Generator(device).manual_seed(cls.draw)

    @classmethod
    def size_for(cls, like: Tensor) -> float:
        """Return how large a disturbance of numbers like these, of any shape, is, relative to them."""
        return cls.units * torch.finfo(like.dtype).eps

    @classmethod
    def error(cls, apart: Tensor) -> Tensor:
        """Return what rounding may have done, on the large side, to logarithms that a disturbance moves this far apart;
        any shape."""
        in_proportion = apart * (16.0 / cls.shown / cls.units)
        return torch.where(apart > cls.proportional, apart / cls.shown, in_proportion)

    def disturbed(self, terms: Tensor, networks: int) -> Tensor:
        """Return terms (trajectories, ...), row after row of each network, disturbed in all rows but the plain ones."""
        return self.in_rows(terms.unflatten(0, (networks, self.rows))).flatten(0, 1)

    def in_rows(self, values: Tensor) -> Tensor:
        """Return values (networks, rows, ...), disturbed in all rows but the plain ones, alike in every network."""
        return values * self.factors(*values.shape[1:])

    def factors(self, *shape: int) -> Tensor:
        """Return factors (rows, ...) near 1, exactly 1 in the plain rows."""
        factors = self._like.new_ones(shape)
        around_one(factors[self.plain :], self.size, self.generator)
        return factors

    @property
    def of_few(self) -> bool:
        """Whether fewer rows are disturbed than there are plain ones."""
        return self.rows < 2 * self.plain

    def marks(self, networks: int) -> Tensor:
        """Return (trajectories,) whether each is disturbed."""
        return (torch.arange(self.rows, device=self._like.device) >= self.plain).repeat(networks)
