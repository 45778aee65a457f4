"""Memory of a mini-batch: how much it raises the resident peak of a fresh process.

`python -m benchmarks.training.pack_memory CELL WAY NETWORKS` prints the growth in bytes; a small pack of the same
way comes before, so that libraries are in memory already.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.shared.tables import DASH, Table, number
from benchmarks.shared.timing import on_threads
from benchmarks.spectrum.memory import answer_of, resident_peak
from benchmarks.training import one_by_one, packs
from benchmarks.training.shapes import RandomSequences, Shape

CELLS = ("rnn", "lstm", "lem")
NETWORKS = (1, 16, 64)


@dataclass(frozen=True)
class Growth:
    """Bytes that a mini-batch of so many networks raised the peak by."""

    cell: str
    way: str
    networks: int
    bytes: int


def measure_all(ways: dict[str, str], sizes: Sequence[int]) -> list[Growth]:
    """One network in the published way, and packs by the way given for each cell, each in a process of its own."""
    wanted = [(cell, one_by_one.PUBLISHED, 1) for cell in ways]
    wanted += [(cell, way, size) for cell, way in ways.items() for size in sizes]
    return [
        Growth(cell, way, size, int(answer_of("benchmarks.training.pack_memory", cell, way, str(size))))
        for cell, way, size in wanted
    ]


def measure_here(cell: str, way: str, networks: int) -> int:
    """Bytes, on one thread."""
    with on_threads(1):
        _run_of(Shape(cell, units=8, steps=2, batch=4), way, 1)()
        run = _run_of(Shape(cell), way, networks)
        before = resident_peak()
        run()
        return resident_peak() - before


def _run_of(shape: Shape, way: str, networks: int) -> Callable[[], object]:
    """Makes the data and the networks; what it returns trains them on one mini-batch."""
    if way != one_by_one.PUBLISHED:
        return packs.pack(shape, networks, 1, way).train_epoch
    examples = RandomSequences(shape, 1).splits.training
    network = one_by_one.alone(shape, way)
    order = torch.arange(len(examples))
    return lambda: network.train(examples.inputs, examples.targets, order, shape.batch)


def memory_table(growths: list[Growth]) -> Table:
    sizes = sorted({growth.networks for growth in growths if growth.way != one_by_one.PUBLISHED})
    shape = Shape(CELLS[0])
    table = Table(
        "Memory",
        "By how many MiB the first mini-batch raises the resident peak of a fresh process that holds the networks and "
        f"the data: N = {shape.units}, {shape.batch} sequences of {shape.steps} steps.",
        ("cell, our way", "one by one", *(f"ours, P = {size}" for size in sizes)),
    )
    by_pack = {(growth.cell, growth.way == one_by_one.PUBLISHED, growth.networks): growth for growth in growths}
    ways = {growth.cell: growth.way for growth in growths if growth.way != one_by_one.PUBLISHED}
    for cell, way in ways.items():
        row = [by_pack.get((cell, True, 1)), *(by_pack.get((cell, False, size)) for size in sizes)]
        cells = (DASH if growth is None else number(growth.bytes / 2**20) for growth in row)
        table.rows.append((f"{cell}, {way}", *cells))
    return table


if __name__ == "__main__":
    print(measure_here(sys.argv[1], sys.argv[2], int(sys.argv[3])))
