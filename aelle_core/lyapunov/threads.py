"""Threads: torch's own against the kernel's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_mine = threading.local()
_inside = 0  # Python threads that want torch to have one thread
_threads = 1  # how many torch had before the first of them


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Give torch one thread and say how many it had: those are for the kernel.

    Steps of a network are too small to share, and torch's idle threads spin where the kernel's want to run. Also,
    torch.linalg's batched LU on several threads returns wrong numbers with MKL (pytorch #141358).

    Calls from several Python threads may overlap: all are told the number from before the first, which is back when
    the last has ended.
    """
    global _inside, _threads
    if getattr(_mine, "inside", False):  # such as a spectrum within on_step
        yield _threads
        return
    with _lock:
        if not _inside:
            _threads = torch.get_num_threads()
        _inside += 1
        threads = _threads
        torch.set_num_threads(1)
    _mine.inside = True
    try:
        yield threads
    finally:
        _mine.inside = False
        with _lock:
            _inside -= 1
            # OpenMP keeps the number for each Python thread, which has to set its own back; MKL, and torch for Python
            # threads to come, keep one for all, which a passing thread sets to 1 again for those still inside.
            torch.set_num_threads(threads)
            if _inside:
                passing = threading.Thread(target=torch.set_num_threads, args=(1,))
                passing.start()
                passing.join()
