"""Tangents kept as reflectors, moved by the compiled kernel on a pool of threads."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.lyapunov.householder.algorithm import advance
from aelle_core.lyapunov.householder.emitter import PANEL, lanes
from aelle_core.lyapunov.jacobians import BlockJacobians, Jacobians
from aelle_core.lyapunov.rounding import around_one

_LARGEST_STRIPE = 64  # columns of 512 rows in float64: a quarter of a megabyte, in any second-level cache
_NOISE = 8192
_TASKS_PER_THREAD = 4


class HouseholderTangents:
    """k tangents of every trajectory as reflectors V, Y = V T^T and an order of rows.

    Trajectories are spread over threads; the kernel holds no lock of the interpreter.
    `disturbed` (trajectories,) marks those whose Jacobians and products are multiplied by numbers a few
    `disturbance`s from 1.
    """

    def __init__(
        self,
        like: Tensor,
        trajectories: int,
        size: int,
        k: int,
        *,
        disturbed: Tensor | None = None,
        disturbance: float = 0.0,
        lengths: bool = False,
    ) -> None:
        self.dtype = like.dtype
        self.k = k
        panels = -(-k // PANEL)
        here = torch.device("cpu")  # whatever the default is
        self.v = torch.zeros(trajectories, panels, size, PANEL, dtype=self.dtype, device=here)
        self.y = torch.zeros_like(self.v)
        self.orders = torch.arange(size, device=here).repeat(trajectories, 1)
        self.labels = torch.arange(k, device=here).repeat(trajectories, 1)
        self.disturbed = np.zeros(trajectories, bool) if disturbed is None else disturbed.numpy()
        source = torch.Generator(here).manual_seed(0)
        self.noise = around_one(torch.empty(_NOISE, dtype=torch.float64, device=here), disturbance, source)
        self.noise = self.noise.to(self.dtype)
        self.lengths = lengths
        self.calls = 0
        width = max(PANEL, lanes(like.itemsize))  # stripes are whole panels and whole registers
        self.stripe = max(width, min(_LARGEST_STRIPE, -(-size // width) * width))

    def advance(self, jacobians: Jacobians, threads: int = 1) -> tuple[Tensor, Tensor | None]:
        if not isinstance(jacobians, BlockJacobians):
            raise TypeError(f"the compiled kernel moves BlockJacobians, not {type(jacobians).__name__}")
        trajectories, steps = jacobians.trajectories, jacobians.steps
        radii = self.v.new_empty(trajectories, steps, self.k)
        lengths = self.v.new_empty(trajectories if self.lengths else 0, steps, self.k)
        self.calls += 1
        arguments: tuple[Any, ...] = (
            trajectories // jacobians.matrices.shape[0],
            _arrays(jacobians, self.dtype),
            self.k,
            self.v.numpy(),
            self.y.numpy(),
            self.orders.numpy(),
            self.labels.numpy(),
            radii.numpy(),
            lengths.numpy(),
            self.noise.numpy(),
            self.disturbed,
            self.calls,
            self.stripe,
        )
        threads = min(threads, trajectories)
        if threads == 1:
            advance(0, trajectories, *arguments)
        else:
            bounds = np.linspace(0, trajectories, min(trajectories, threads * _TASKS_PER_THREAD) + 1).astype(int)
            with ThreadPoolExecutor(threads) as pool:
                tasks = [pool.submit(advance, a, b, *arguments) for a, b in itertools.pairwise(bounds)]
            for task in tasks:
                task.result()
        return radii, lengths if self.lengths else None


def _arrays(jacobians: BlockJacobians, dtype: torch.dtype) -> tuple[Any, ...]:
    """The Jacobians as the kernel takes them."""

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.to(dtype).contiguous().numpy()

    def places(pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    return (
        jacobians.units,
        array(jacobians.matrices),
        array(jacobians.factors),
        places(jacobians.factor_places),
        array(jacobians.dense),
        places(jacobians.dense_places),
        array(jacobians.diagonals),
        places(jacobians.diagonal_places),
        np.ones(jacobians.units, dtype=array(jacobians.factors).dtype),
    )


def prepare_kernel(dtype: torch.dtype) -> None:
    """Have the kernel's machine code at hand: from numba's cache, or compiled now, which is said on stderr."""
    if advance.signatures and any(str(dtype).removeprefix("torch.") in str(each) for each in advance.signatures):
        return
    if not any(Path(advance.stats.cache_path).glob("algorithm.*.nbi")):
        print("compiling the spectrum kernel for this CPU: some ten seconds, once", file=sys.stderr, flush=True)
    like = torch.empty(0, dtype=dtype, device="cpu")
    HouseholderTangents(like, 1, 1, 1).advance(BlockJacobians.of_dense(like.new_ones(1, 1, 1, 1)))
