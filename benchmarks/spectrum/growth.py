"""How cost grows: against N, against the steps T, against the sequences B."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from aelle_core.cells import to_torch
from aelle_core.lyapunov import lyapunov_spectrum
from benchmarks.peers.published import published_spectrum
from benchmarks.shared.tables import Table
from benchmarks.shared.timing import Way, on_threads, take_turns
from benchmarks.spectrum.cases import SEQUENCES, draw_inputs, draw_network

UNITS = 64
BASE_STEPS = 28
STEPS = {"exact": (4, 16, 64, 256, 1024, 4096), "published": (4, 16, 64, 256)}
BATCHES = {"exact": (1, 4, 15, 60, 240), "published": (1, 4, 15, 60)}


@dataclass(frozen=True)
class Curve:
    """Seconds of one run of a way, at several values of what grows."""

    way: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]

    def power(self, from_value: int) -> float:
        """The exponent p of seconds ~ value^p, least squares on the logarithms from that value on."""
        points = [(v, s) for v, s in zip(self.values, self.seconds, strict=True) if v >= from_value]
        if len(points) < 2:
            return float("nan")
        values, seconds = np.log(np.array(points)).T
        return float(np.polyfit(values, seconds, 1)[0])


def against_steps(lengths: dict[str, tuple[int, ...]], budget: float) -> list[Curve]:
    return _curves({way: [(SEQUENCES, steps) for steps in values] for way, values in lengths.items()}, 1, budget)


def against_sequences(batches: dict[str, tuple[int, ...]], budget: float) -> list[Curve]:
    return _curves({way: [(count, BASE_STEPS) for count in values] for way, values in batches.items()}, 0, budget)


def _curves(shapes: dict[str, Sequence[tuple[int, int]]], grows: int, budget: float) -> list[Curve]:
    """An rnn of 64 units on one thread."""
    network = draw_network("rnn", UNITS)
    runs: dict[str, Callable[[Tensor], object]] = {
        "exact": functools.partial(lyapunov_spectrum, network, check=False),
        "published": functools.partial(published_spectrum, to_torch(network)),
    }
    ways = [
        Way.on(f"{way}/{index}", runs[way], draw_inputs(*shape))
        for way, sizes in shapes.items()
        for index, shape in enumerate(sizes)
    ]
    with on_threads(1):
        microseconds = take_turns(ways, budget, least=2)
    seconds = {way.name: float(np.median(microseconds[way.name])) * way.amount / 1e6 for way in ways}
    return [
        Curve(
            way,
            tuple(shape[grows] for shape in sizes),
            tuple(seconds[f"{way}/{index}"] for index in range(len(sizes))),
        )
        for way, sizes in shapes.items()
    ]


def growth_table(by_size: list[Curve], by_steps: list[Curve], by_sequences: list[Curve]) -> Table:
    table = Table(
        "How cost grows",
        "rnn, float64, one thread. Exponents p of cost ~ x^p, least squares on logarithms over the range given; below "
        "it a call's fixed cost shows. ![Cost and memory](spectrum-cost.svg)",
        ("x", "range of the fit", "ours", "published", "expected"),
    )
    for label, curves, first, expected in (
        ("N, per step and sequence", by_size, 64, "3"),
        (f"T, steps (N = {UNITS})", by_steps, 16, "1"),
        (f"B, sequences (N = {UNITS})", by_sequences, 4, "1"),
    ):
        powers = {curve.way: f"{curve.power(first):.2f}" for curve in curves}
        last = max(curves[0].values)
        table.rows.append((label, f"{first} to {last:,}", powers["exact"], powers["published"], expected))
    return table
