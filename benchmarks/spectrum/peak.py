"""What this machine can do at most: operations per second, by torch and by the kernel's own loop."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit

from aelle_core.lyapunov.kernels.householder.emitter import PANEL
from aelle_core.lyapunov.kernels.householder.vectors import reflect
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import on_threads
from benchmarks.spectrum.product import best_rate, product_rate

_PRODUCT = 1024  # rows and columns of the matrices that torch multiplies
_STRIPE = 64
_ROWS = 128  # with so many the block and the reflectors are in the first- or second-level cache


@dataclass(frozen=True)
class Peak:
    """Floating-point operations per second (a multiplication and an addition are two), each the best of many tries.

    product  torch's matrix product, 1024 x 1024
    loop     the kernel's inner loop: 8 reflectors onto a block that stays in the cache
    plain    the same arithmetic as loops over arrays, left to numba and LLVM to vectorise
    """

    product: float
    loop: float
    plain: float

    @property
    def best(self) -> float:
        return max(self.product, self.loop)

    def better(self, other: "Peak | None") -> "Peak":
        """The best of both."""
        if other is None:
            return self
        return Peak(max(self.product, other.product), max(self.loop, other.loop), max(self.plain, other.plain))


@njit(nogil=True)
def _vector_loop(block, v, y, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        reflect(block, 0, block.shape[1], v, y, 0, block.shape[0], block.shape[1])


@njit(nogil=True, fastmath=True)
def _plain_loop(block, v, y, times):  # type: ignore[no-untyped-def]
    rows, columns = block.shape
    sums = np.zeros((v.shape[1], columns), block.dtype)
    for _ in range(times):
        sums[:] = 0
        for row in range(rows):
            for p in range(v.shape[1]):
                for column in range(columns):
                    sums[p, column] += v[row, p] * block[row, column]
        for row in range(rows):
            for p in range(v.shape[1]):
                for column in range(columns):
                    block[row, column] -= y[row, p] * sums[p, column]


def measure_peak(threads: int, dtype: torch.dtype, budget: float) -> Peak:
    """On so many cores at once, within about `budget` seconds."""
    with on_threads(threads):
        product = product_rate(_PRODUCT, dtype, budget / 3)
    loops = [_loop_rate(loop, threads, dtype, budget / 3) for loop in (_vector_loop, _plain_loop)]
    return Peak(product, *loops)


def _loop_rate(loop: Callable[..., Any], threads: int, dtype: torch.dtype, budget: float) -> float:
    def arrays() -> tuple[np.ndarray, ...]:
        shapes = ((_ROWS, _STRIPE), (_ROWS, PANEL), (_ROWS, PANEL))
        return tuple(torch.full(shape, 1e-3, dtype=dtype).numpy() for shape in shapes)

    operands_by_thread = [arrays() for _ in range(threads)]
    loop(*operands_by_thread[0], 1)
    once = 4 * PANEL * _ROWS * _STRIPE
    times = 200
    with ThreadPoolExecutor(threads) as pool:

        def run() -> None:
            for task in [pool.submit(loop, *operands, times) for operands in operands_by_thread]:
                task.result()

        return best_rate(run, threads * times * once, budget)


def peak_table(peaks: dict[tuple[int, torch.dtype], Peak]) -> Table:
    table = Table(
        "What the machine can do",
        "Best rates in 10⁹ floating-point operations per second (a multiplication and an addition are two). Shares of "
        "peak are of the larger of the first two. Measured before and after everything else; the better counts.",
        ("threads, type", "torch matrix product, 1024²", "kernel's inner loop", "same loop left to numba"),
    )
    for (threads, dtype), peak in peaks.items():
        rates = (peak.product, peak.loop, peak.plain)
        table.rows.append((f"{threads}, {str(dtype).removeprefix('torch.')}", *(number(rate / 1e9) for rate in rates)))
    return table
