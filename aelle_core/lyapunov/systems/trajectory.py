"""Jacobians along a trajectory that somebody else has computed."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems.base import Linearised, Rows


class TrajectorySystem:
    """Given Jacobians (sequences, time, size, size), entry [.., i, j] being d state_i / d state_j of the step; an array
    may be memory-mapped: it is read a stretch of time at once."""

    def __init__(self, jacobians: Tensor | np.ndarray, dtype: torch.dtype, device: torch.device | str | None) -> None:
        self.jacobians = jacobians
        self.networks = 1
        self.sequences, self.size = int(jacobians.shape[0]), int(jacobians.shape[2])
        self.rows: Rows = slice(None)
        self.exact_zeros, self.knows_kinks = False, True  # what is given has no other side
        if isinstance(jacobians, Tensor):
            device = device or jacobians.device
        self.like = torch.empty(0, dtype=dtype, device=device)

    @property
    def unchecked(self) -> tuple[str, ...]:
        return ()

    def start(self, copies: int) -> int:
        return copies

    def in_double(self, networks: list[int]) -> "TrajectorySystem":
        chosen = copy.copy(self)
        chosen.like = self.like.double()
        return chosen

    def of_sequences(self, rows: Rows) -> "TrajectorySystem":
        chosen = copy.copy(self)
        every = range(len(self.jacobians))
        numbers = list(every[self.rows]) if isinstance(self.rows, slice) else self.rows
        chosen.rows = numbers[rows] if isinstance(rows, slice) else [numbers[row] for row in rows]
        chosen.sequences = len(chosen.rows)
        return chosen

    def in_factors(self) -> "TrajectorySystem":
        return self

    def bytes_per_step(self, copies: int) -> int:
        return 2 * copies * self.sequences * self.size**2 * self.like.itemsize

    def linearise(self, first: int, steps: int, state: Any, k: int, rounding: Rounding | None) -> Linearised:
        part = self.jacobians[self.rows, first : first + steps]  # a memory-mapped array is read here, and no sooner
        if isinstance(part, np.ndarray):  # of any byte order, strides and width, which torch does not take
            with np.errstate(over="ignore"):
                wanted = np.float64 if self.like.dtype == torch.float64 else np.float32
                given = torch.from_numpy(np.array(part, dtype=wanted, order="C"))
        else:
            given = part.detach()
        jacobians = BlockJacobians.of_dense(given.to(self.like).mT.repeat(state, 1, 1, 1))
        return Linearised(state, jacobians, jacobians.finite())

    def pushes(self, k: int) -> bool:
        return False
