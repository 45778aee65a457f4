"""Steps of a stretch that shared a factorisation, trajectory by trajectory.

What is compared, copies with each other and log |r| with determinants, is compared for each factorisation: a coarser
comparison would not tell which direction is wrong.
"""

import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.tangents import TOGETHER


def blocks_of(wanted: Tensor) -> Tensor:
    """Return (steps,) the number of the block that each step is in: no factorisation is shared across blocks. At the
    ends that are `wanted`, (steps,), sums are needed."""
    begins = torch.arange(len(wanted)) % TOGETHER == 0
    begins[1:] |= wanted[:-1]
    return begins.cumsum(0) - 1


def ends_of(logarithms: Tensor, sequences: int, checked: int, wanted: Tensor) -> Tensor:
    """Return (networks, sequences, steps) at which steps a factorisation ended, of a sequence and of its copies.

    logarithms  (networks, rows, steps, k) log |r|, all 0 where a step left its growth to a later one; the rows are all
                sequences, and then copies of the first `checked`, one copy of all after the other
    """
    told = (logarithms != 0).any(dim=-1)
    ends = told[:, :sequences] | wanted
    for copy in told[:, sequences:].split(checked, dim=1):
        ends[:, :checked] &= copy | wanted
    ends[..., -1:] = True
    return ends


def summed(values: Tensor, ends: Tensor) -> Tensor:
    """Return sums over each factorisation's steps, (networks, ..., sequences, groups, k), of values (networks, ...,
    sequences, steps, k); 0 behind a trajectory's last group."""
    if bool(ends.all()):
        return values
    groups = ends.cumsum(dim=-1) - ends.long()
    count = int(groups.max()) + 1
    while groups.dim() < values.dim() - 1:
        groups = groups.unsqueeze(1)
    whole = values.new_zeros(*values.shape[:-2], count, values.shape[-1])
    return whole.scatter_add_(-2, groups.unsqueeze(-1).expand_as(values), values)
