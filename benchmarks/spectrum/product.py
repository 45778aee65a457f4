"""What a device can do at most: the rate of torch's matrix product."""

import time
from collections.abc import Callable

import torch

from benchmarks.shared.device import synchronise
from benchmarks.shared.timing import seconds


def product_rate(size: int, dtype: torch.dtype, budget: float, device: torch.device | str = "cpu") -> float:
    """Operations per second (a multiplication and an addition are two) of a product of matrices of `size` rows and
    columns; the best of as many tries as fit into `budget` seconds."""
    torch_device = torch.device(device)
    left, right = (torch.randn(size, size, dtype=dtype, device=torch_device) for _ in range(2))
    out = torch.empty_like(left)

    def run() -> None:
        torch.matmul(left, right, out=out)
        synchronise(torch_device)

    return best_rate(run, 2 * size**3, budget)


def best_rate(run: Callable[[], object], operations: float, budget: float) -> float:
    """Operations per second of the fastest run within `budget` seconds."""
    run()
    stop, best = time.perf_counter() + budget, float("inf")
    while time.perf_counter() < stop:
        best = min(best, seconds(run))
    return operations / best
