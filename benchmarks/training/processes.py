"""The machine full of processes with one thread each, as a study runs: what all of them do at the same time."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

from benchmarks.shared.timing import Spread, on_threads, ratio, seconds
from benchmarks.training import one_by_one
from benchmarks.training.measure import Pack, way_alone, way_of_ours
from benchmarks.training.shapes import Shape

_TURNS = 3
_LONG = 0.3  # seconds of one turn, at least: processes that have to wait for each other begin and end apart
_WAIT = 120.0  # seconds for the slowest process to get ready

_barrier: Barrier


@dataclass(frozen=True)
class Rates:
    """Networks times mini-batches per second of all processes together, turn by turn."""

    cell: str
    alone: dict[str, list[float]]
    ours: list[float]

    @property
    def best_alone(self) -> list[float]:
        """Of the faster way of training one network at a time."""
        return max(self.alone.values(), key=lambda values: Spread.of(values).median)

    @property
    def gain(self) -> Spread:
        """How many times more ours do, turn by turn."""
        return ratio(self.ours, self.best_alone)


class Processes:
    """So many processes, which take every turn together."""

    def __init__(self, count: int) -> None:
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, _begin, (context.Barrier(count),))

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def measure(self, shape: Shape, pack: Pack) -> Rates:
        """Every process trains networks of its own: one by one in each way, and then in packs like `pack`."""
        futures = [self._pool.submit(_rates, shape, pack) for _ in range(self.count)]
        by_process = [future.result() for future in futures]
        together = {
            way: [sum(turn) for turn in zip(*(rates[way] for rates in by_process), strict=True)]
            for way in by_process[0]
        }
        return Rates(shape.cell, {way: together[way] for way in one_by_one.ALONE}, together[str(pack)])


def _begin(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _rates(shape: Shape, pack: Pack) -> dict[str, Sequence[float]]:
    """Networks times mini-batches per second of this process by way, turn by turn."""
    rates: dict[str, list[float]] = {}
    with on_threads(1):
        ways = [*(way_alone(shape, way) for way in one_by_one.ALONE), way_of_ours(shape, pack)]
        calls = {}
        for way in ways:
            way.run()
            calls[way.name] = 1 + int(_LONG / seconds(way.run))
        for _ in range(_TURNS):
            for way in ways:
                _barrier.wait(_WAIT)
                took = seconds(lambda way=way: [way.run() for _ in range(calls[way.name])])  # type: ignore[misc]
                rates.setdefault(way.name, []).append(calls[way.name] * way.amount / took)
    return rates
