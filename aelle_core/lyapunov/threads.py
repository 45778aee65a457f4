"""Threads: torch's own against the kernel's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Give torch one thread and say how many it had: those are for the kernel.

    Steps of a network are too small to share, and torch's idle threads spin where the kernel's want to run. Also,
    torch.linalg's batched LU on several threads returns wrong numbers with MKL (pytorch #141358).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
