"""Times that can be compared on a machine that drifts: all ways take turns, and ratios are made turn by turn."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

_SHORTEST = 0.02  # seconds of one timing: shorter runs are repeated


@dataclass(frozen=True)
class Way:
    """A way to something: `run` does `amount` units of it; `first`, where a run is long, is a run of one unit."""

    name: str
    run: Callable[[], object]
    amount: int
    first: Callable[[], object] | None = None

    @classmethod
    def on(cls, name: str, run: Callable[[Tensor], object], inputs: Tensor) -> "Way":
        """A way to spectra, on inputs (sequences, steps, features): the unit is a step of one sequence."""
        return cls(name, lambda: run(inputs), inputs.shape[0] * inputs.shape[1], lambda: run(inputs[:1, :1]))

    def calls(self) -> int:
        """Runs that make a timing long enough. Kernels and torch's threads are started by a run before."""
        if self.first is None:
            if seconds(self.run) > 10 * _SHORTEST:
                return 1
        else:
            self.first()
            if seconds(self.first) * self.amount > 10 * _SHORTEST:
                return 1
        return max(1, math.ceil(_SHORTEST / seconds(self.run)))


@dataclass(frozen=True)
class Spread:
    """The median of several numbers, with the least and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Give torch, our kernel (which takes torch's number) and numpy's and scipy's BLAS so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def take_turns(
    ways: Sequence[Way], budget: float, least: int, most: int = 7, patience: float = math.inf
) -> dict[str, list[float]]:
    """Microseconds per unit of every way, one number a turn: A B C A B C ..., at least `least` turns and
    no more than fit into `budget` seconds. After `patience` seconds no turn is begun, but the first always is."""
    calls = {way.name: way.calls() for way in ways}
    start = time.perf_counter()
    microseconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for turn in range(most):
        taken = time.perf_counter() - start
        if turn and (taken > patience or (turn >= least and taken * (turn + 1) / turn > budget)):
            break
        for way in ways:
            count = calls[way.name]
            took = seconds(lambda way=way, count=count: [way.run() for _ in range(count)])  # type: ignore[misc]
            microseconds[way.name].append(took / count / way.amount * 1e6)
    return microseconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """How many times faster the second way is, turn by turn."""
    return Spread.of([before / after for before, after in zip(slow, fast, strict=True)])
