"""Tangents kept as reflectors, moved by the compiled kernel on a pool of threads."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.householder.algorithm import advance
from aelle_core.lyapunov.kernels.householder.emitter import PANEL, lanes
from aelle_core.lyapunov.kernels.householder.kept import take_prepared
from aelle_core.lyapunov.kernels.householder.terms import KernelTerms
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, Jacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding, around_one
from aelle_core.lyapunov.kernels.tangents import Frame

_LARGEST_STRIPE = 64  # columns of 512 rows in float64: a quarter of a megabyte, in any second-level cache
_NOISE = 8192
_TRIED_AT_ONCE = 256  # dimensions
_TASKS_PER_THREAD = 4
_CALM = 2e7  # units of the last place
_CALMER = 4e5  # where few second copies are to speak for other trajectories, whose condition may be somewhat worse


class HouseholderTangents:
    """Tangents as reflectors V, Y = V T^T and an order of rows, of every trajectory.

    Trajectories are spread over threads; the kernel holds no lock of the interpreter.
    """

    def __init__(self, frame: Frame) -> None:
        trajectories, size, k = frame.trajectories, frame.size, frame.k
        self.frame = frame
        self.dtype = frame.like.dtype
        here = torch.device("cpu")  # whatever the default is
        self.v = torch.zeros(trajectories, -(-k // PANEL), size, PANEL, dtype=self.dtype, device=here)
        self.y = torch.zeros_like(self.v)
        self.orders = torch.arange(size, device=here).repeat(trajectories, 1)
        self.labels = torch.arange(k, device=here).repeat(trajectories, 1)
        self.disturbed = np.zeros(trajectories, bool) if frame.disturbed is None else frame.disturbed.numpy()
        source = Rounding.source(here)
        noise = around_one(torch.empty(_NOISE, dtype=torch.float64, device=here), frame.disturbance, source)
        self.noise = noise.to(self.dtype)
        self.singly = np.zeros((trajectories, 2), np.int64)  # steps to be made one by one: now, and at the last failure
        self.most = np.full(trajectories, 2)
        # Where failures are dear, the first step is made singly, and tells whether more may be tried.
        self.losses = np.full(trajectories, 0.0 if size <= _TRIED_AT_ONCE else np.inf)
        self.calls = 0
        width = max(PANEL, lanes(frame.like.itemsize))  # stripes are whole panels and whole registers
        self.stripe, self.height = (max(width, min(_LARGEST_STRIPE, -(-count // width) * width)) for count in (k, size))

    def advance(
        self, jacobians: Jacobians, threads: int = 1, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if not isinstance(jacobians, BlockJacobians | ReadoutJacobians):
            raise TypeError(f"the compiled kernel moves blocks, not {type(jacobians).__name__}")
        trajectories, steps = jacobians.trajectories, jacobians.steps
        radii = self.v.new_empty(trajectories, steps, self.frame.k)
        lengths = self.v.new_empty(trajectories if self.frame.lengths else 0, steps, self.frame.k)
        terms = KernelTerms(jacobians, self.dtype)
        self.calls += 1
        arguments: tuple[tuple[Any, ...], ...] = (  # Terms, Numbers, Reflectors, Record, Sharing and Disturbance
            terms.arrays,
            (
                trajectories // jacobians.matrices.shape[0],
                self.frame.k,
                self.stripe,
                self.height,
                jacobians.dense_columns,
                terms.entries,
            ),
            (self.v.numpy(), self.y.numpy(), self.orders.numpy(), self.labels.numpy()),
            (radii.numpy(), lengths.numpy()),
            (
                np.ones(steps, bool) if wanted is None or self.dtype != torch.float64 else wanted.numpy(),
                self.singly,
                self.most,
                self.losses,
                _CALM if self.frame.disturbed is None else _CALMER,
            ),
            (self.noise.numpy(), self.disturbed, self.calls),
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
        return radii.double().log_(), lengths if self.frame.lengths else None


def prepare_kernel(dtype: torch.dtype) -> None:
    """Load the kernel's machine code from numba's cache, or compile it and say so on stderr."""
    if advance.signatures and any(
        str(dtype).removeprefix("torch.") in str(signature) for signature in advance.signatures
    ):
        return
    take_prepared(advance.stats.cache_path)
    if not any(Path(advance.stats.cache_path).glob("algorithm.*.nbi")):
        print("compiling the spectrum kernel for this CPU: some ten seconds, once", file=sys.stderr, flush=True)
    like = torch.empty(0, dtype=dtype, device="cpu")
    HouseholderTangents(Frame(like, 1, 1, 1)).advance(BlockJacobians.of_dense(like.new_ones(1, 1, 1, 1)))
