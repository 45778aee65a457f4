"""FORCE in packs against the published program, one NumPy loop a network: python -m benchmarks.training.force"""

import argparse
from collections.abc import Callable

from rich.console import Console

from aelle_core.cells import get_cell
from aelle_core.tasks.target_learning import TargetLearning
from aelle_core.training import ForceTrainer, NetworkSettings
from benchmarks.shared.tables import Table, number, times
from benchmarks.shared.timing import Spread, on_threads, ratio, seconds
from tests.helpers.published_force import published_force

PERIOD = 300  # steps of one measurement


def pack(units: int, networks: int) -> ForceTrainer:
    settings = [NetworkSettings(seed, 1.5, 1.0) for seed in range(networks)]
    return ForceTrainer(get_cell("rank1", 1, units), TargetLearning(period=PERIOD, test_periods=1), settings)


def measure(units: int, sizes: list[int], turns: int) -> tuple[list[list[str]], list[list[str]]]:
    """Rows for training and for the free run: microseconds per network and step, the program first, then packs."""
    single = pack(units, 1)
    arrays = {name: value[0].numpy() for name, value in single.parameters.items()}
    start, target = single.x[0].numpy(), single.target.numpy()
    packs = {size: pack(units, size) for size in sizes}
    runs: tuple[list[Callable[[], object]], ...] = (
        [
            lambda: published_force(arrays, start, target, periods=1, test_periods=0),
            *(trainer.train_epoch for trainer in packs.values()),
        ],
        [
            lambda: published_force(arrays, start, target, periods=0, test_periods=1),
            *(trainer.evaluate for trainer in packs.values()),
        ],
    )
    tables = []
    for compared in runs:
        scales = [1e6 / PERIOD / size for size in (1, *sizes)]
        for run in compared:  # threads and allocators start outside the measurement
            run()
        turned = [[seconds(run) * scale for run, scale in zip(compared, scales, strict=True)] for _ in range(turns)]
        by_way = list(zip(*turned, strict=True))
        tables.append(
            [
                [f"{units}", "published program", "1", number(Spread.of(by_way[0]).median), ""],
                *(
                    [f"{units}", "pack", str(size), number(Spread.of(way).median), times(ratio(by_way[0], way))]
                    for size, way in zip(sizes, by_way[1:], strict=True)
                ),
            ]
        )
    return tables[0], tables[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    note = f"microseconds per network and step, {options.threads} threads; median of {options.turns} turns"
    columns = ("units", "way", "networks", "µs", "faster")
    training = Table("Training: recursive least squares at every second step", note, columns)
    free = Table("The closed loop, running freely", note, columns)
    with on_threads(options.threads):
        for units in options.units:
            for table, rows in zip((training, free), measure(units, options.packs, options.turns), strict=True):
                table.rows += rows
    for table in (training, free):
        Console().print(table.rich())


if __name__ == "__main__":
    main()
