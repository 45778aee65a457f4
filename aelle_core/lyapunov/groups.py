"""Steps of a stretch that shared a factorisation, trajectory by trajectory.

What is compared, copies with each other and log |r| with determinants, is compared for each factorisation: a coarser
comparison would not tell which direction is wrong.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.tangents import TOGETHER


def blocks_of(wanted: Tensor) -> Tensor:
    """Return (steps,) the number of the block that each step is in: no factorisation is shared across blocks. At the
    ends that are `wanted`, (steps,), sums are needed."""
    begins = torch.arange(len(wanted)) % TOGETHER == 0
    begins[1:] |= wanted[:-1]
    return begins.cumsum(0) - 1


@dataclass(frozen=True)
class Groups:
    """The steps of each factorisation, of a sequence and of its copies.

    numbers  (networks, sequences, steps) the number of the factorisation that each step belongs to; None where each
             step has its own
    count    factorisations, at most
    """

    numbers: Tensor | None
    count: int

    @classmethod
    def of(cls, logarithms: Tensor, sequences: int, checked: int, blocks: Tensor) -> "Groups":
        """From log |r| (networks, rows, steps, k), all 0 where a step left its growth to a later one of its block
        (steps,). The rows are all sequences, and then copies of the first `checked`, one copy of all after the other.
        """
        told = (logarithms != 0).any(dim=-1)
        ends = told[:, :sequences].clone()
        if told.shape[1] > sequences:
            for copy in told[:, sequences:].split(checked, dim=1):
                ends[:, :checked] &= copy
        ends |= torch.cat([blocks[1:] != blocks[:-1], blocks.new_ones(1, dtype=torch.bool)]).to(ends.device)
        if bool(ends.all()):
            return cls(None, ends.shape[-1])
        numbers = ends.cumsum(dim=-1) - ends.long()
        return cls(numbers, int(numbers.max()) + 1)

    def of_first(self, sequences: int) -> "Groups":
        """Return those of the first sequences of each network."""
        return Groups(None if self.numbers is None else self.numbers[:, :sequences], self.count)

    def summed(self, values: Tensor) -> Tensor:
        """Return sums over each factorisation's steps, (networks, ..., sequences, count, k), of values (networks, ...,
        sequences, steps, k); 0 behind a trajectory's last factorisation."""
        if self.numbers is None:
            return values
        numbers = self.numbers
        while numbers.dim() < values.dim() - 1:
            numbers = numbers.unsqueeze(1)
        whole = values.new_zeros(*values.shape[:-2], self.count, values.shape[-1])
        return whole.scatter_add_(-2, numbers.unsqueeze(-1).expand_as(values), values)
