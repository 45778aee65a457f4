"""Run work on our own threads while torch uses one per thread."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

Result = TypeVar("Result")

_lock = threading.Lock()
_mine = threading.local()
_inside = 0  # Python threads that want torch to have one thread
_threads = 1  # how many torch had before the first of them


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Give torch one thread and say how many it had: those are for threads of our own.

    Steps of a network are too small to share, and torch's idle threads spin where ours want to run. Also,
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


class Threads:
    """Some threads that work is shared among; with none it is done one after the other by whoever asks."""

    def __init__(self, pool: Executor | None) -> None:
        self._pool = pool

    def run(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """Return what each returns, in order. Raises the first one's error when all have ended."""
        if self._pool is None:
            return [work() for work in works]
        futures = [self._pool.submit(work) for work in works]
        wait(futures)
        return [future.result() for future in futures]

    def in_step(self, iterators: Sequence[Iterator[Result]]) -> Iterator[list[Result]]:
        """Yield the next of every iterator, again and again; all must end together."""
        following: list[Callable[[], Result | None]] = [partial(next, iterator, None) for iterator in iterators]
        while True:
            results = [result for result in self.run(following) if result is not None]
            if not results:
                return
            if len(results) < len(iterators):
                raise RuntimeError(f"{len(results)} of {len(iterators)} went on: expected all to end together")
            yield results


@contextmanager
def own_threads(count: int) -> Iterator[Threads]:
    """So many threads, with torch on one in each; for one alone it is the caller's own, and torch keeps what it has.

    Threads do not inherit torch.no_grad from the caller.
    """
    if count == 1:
        yield Threads(None)
        return
    with one_torch_thread(), ThreadPoolExecutor(count) as pool:
        yield Threads(pool)
