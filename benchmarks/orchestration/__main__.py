"""What 10,000 packs cost in flow, Ray and store, without their training: python -m benchmarks.orchestration

The real flow on a Prefect server and a Ray cluster of its own; only the training of a pack is replaced, by storing
random numbers. Then the same call again, where everything is stored already, and the store read before and after a
compaction.
"""

import argparse
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from benchmarks.orchestration.stub_pack import store_random_pack

MILLION = 1_000_000
SIZE = 16  # networks of a pack
ALONE = 200  # packs that are stored without flow and Ray
TENTHS = 10
CELLS = ("rnn", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem", "ornn", "rnn_relu")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    result = work()
    return time.monotonic() - started, result


def prefect_rows(home: Path) -> dict[str, int]:
    """Rows in the tables of Prefect's database, the largest first."""
    database = sqlite3.connect(home / "prefect.db")
    names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
    counts = {name: database.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
    return dict(sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1]))


def disk_bytes(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


@dataclass(frozen=True)
class Measured:
    """What the benchmark found: seconds, bytes and counts."""

    packs: int
    fragments: int
    sweep: float
    driver: float
    alone: float
    again: float
    memory: tuple[int, ...]
    object_store: int
    prefect: dict[str, int]
    database: int
    disk: tuple[int, int]
    listing: tuple[float, float]
    reading: tuple[float, float]
    compaction: float
    files: tuple[int, int]

    @property
    def overhead(self) -> float:
        """Seconds a pack that the cores did not spend on drawing and storing it."""
        return self.sweep / self.packs - self.alone / (os.cpu_count() or 1)

    @property
    def growth(self) -> float:
        """Bytes that the driver grew by with each pack, when half of the packs were done already."""
        half = len(self.memory) // 2
        return (self.memory[-1] - self.memory[half]) / (self.packs * (len(self.memory) - 1 - half) / TENTHS)

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, in the order in which they are shown."""
        largest = ", ".join(f"{name} {count:,}" for name, count in list(self.prefect.items())[:5])
        return [
            ("packs, fragments", f"{self.packs:,}, {self.fragments:,}"),
            ("the sweep", f"{self.sweep:.0f} s, {1000 * self.sweep / self.packs:.1f} ms a pack"),
            ("a pack drawn and stored in one process, without flow and Ray", f"{1000 * self.alone:.1f} ms"),
            ("overhead of flow and Ray: the rest, on all cores", f"{1000 * self.overhead:.1f} ms a pack"),
            ("time of a core that the driver took", f"{1000 * self.driver / self.packs:.1f} ms a pack"),
            ("the sweep again, all stored", f"{self.again:.1f} s, {1000 * self.again / self.packs:.2f} ms a pack"),
            ("the driver's memory before, after each tenth of the packs", ", ".join(map(decimal, self.memory))),
            ("growth over the second half of the packs", f"{self.growth:.0f} bytes a pack"),
            ("Ray: tasks, bytes in its object store", f"{self.packs:,}, {decimal(self.object_store)}"),
            ("Prefect: rows", f"{sum(self.prefect.values()):,} ({largest})"),
            ("Prefect: database", decimal(self.database)),
            ("files of spectra before, after compaction", f"{self.files[0]:,}, {self.files[1]:,}"),
            ("on disk before, after", f"{decimal(self.disk[0])}, {decimal(self.disk[1])}"),
            ("listed before, after", f"{self.listing[0]:.2f} s, {self.listing[1]:.2f} s"),
            ("all rows read before, after", f"{self.reading[0]:.1f} s, {self.reading[1]:.1f} s"),
            ("compaction", f"{self.compaction:.1f} s"),
        ]

    def on_paper(self) -> list[tuple[str, str]]:
        """The same for a million networks that are stored at eleven epochs, by arithmetic."""
        packs, epochs = MILLION // SIZE, 11
        fragments = packs * epochs
        more = packs / self.packs
        memory = self.memory[-1] + self.growth * (packs - self.packs)
        return [
            ("packs, Ray tasks", f"{packs:,}"),
            ("fragments, rows", f"{fragments:,}, {fragments * SIZE:,}"),
            ("overhead of flow and Ray, on as many cores", f"{self.overhead * packs / 60:.0f} min"),
            ("time of the driver's core", f"{self.driver * more / 60:.0f} min"),
            ("the driver's memory, if it grew on like that", decimal(int(memory))),
            (
                "Prefect: rows, database",
                f"{sum(self.prefect.values()) * more:,.0f}, {decimal(int(self.database * more))}",
            ),
            (
                "on disk before, after compaction",
                " ".join(decimal(int(size / self.fragments * fragments)) for size in self.disk),
            ),
            ("compaction", f"{self.compaction / self.fragments * fragments / 60:.0f} min"),
            (
                "all rows read before, after",
                ", ".join(f"{seconds / self.fragments * fragments / 60:.1f} min" for seconds in self.reading),
            ),
        ]


def measure(packs: int, epochs: int, directory: Path) -> Measured:
    """Run it all in a directory."""
    from aelle_core.store.compaction import compact
    from aelle_core.study import RunDirectory
    from flows import cohort
    from flows.parameters import Resources, StudyParameters
    from flows.processes.cluster import ray_cluster
    from flows.processes.server import prefect_server
    from flows.sweep import sweep

    cohort.train_pack = store_random_pack
    per_cohort = -(-packs // len(CELLS))
    parameters = StudyParameters(
        name="orchestration", cells=list(CELLS), units=[32], epochs=epochs, pack_size=SIZE, networks=per_cohort * SIZE
    )
    plan = parameters.to_study()
    packs, run = per_cohort * len(CELLS), directory / "run"
    alone, _ = timed(lambda: store_alone(plan, directory / "alone"))
    with prefect_server(), ray_cluster(Resources(), {}):
        import ray

        memory, used = remember_memory(packs), time.process_time()
        seconds, _ = timed(lambda: sweep(parameters, str(run)))
        used = time.process_time() - used
        whole, free = ray.cluster_resources(), ray.available_resources()
        again, _ = timed(lambda: sweep(parameters, str(run)))
    store = RunDirectory(run).store
    fragments = packs * (epochs + 1)

    def look() -> tuple[int, int, float, float, Any]:
        listing, known = timed(lambda: sum(map(len, store.stored(plan.identity).values())))
        assert known == fragments, f"{known} fragments are stored: expected {fragments}"
        reading, table = timed(store.read)
        assert table.num_rows == plan.total_networks * (epochs + 1)
        return len(store.files()), disk_bytes(run), listing, reading, table

    first = look()
    compacting, _ = timed(lambda: compact(store))
    second = look()
    assert second[4].equals(first[4])
    return Measured(
        packs=packs, fragments=fragments, sweep=seconds, driver=used, alone=alone / ALONE, again=again,
        memory=tuple(memory), object_store=int(whole["object_store_memory"] - free["object_store_memory"]),
        prefect=prefect_rows(directory / "prefect"), database=disk_bytes(directory / "prefect"),
        files=(first[0], second[0]), disk=(first[1], second[1]), listing=(first[2], second[2]),
        reading=(first[3], second[3]), compaction=compacting,
    )  # fmt: skip


def remember_memory(packs: int) -> list[int]:
    """The resident memory of this process now, to which a sweep of so many packs adds that after each tenth of them."""
    from flows import cohort

    resident, done, fan_out = [psutil.Process().memory_info().rss], itertools.count(1), cohort.fan_out

    def counted(*arguments: Any, **settings: Any) -> Iterator[Any]:
        for outcome in fan_out(*arguments, **settings):
            if next(done) % (packs // TENTHS) == 0 and len(resident) <= TENTHS:
                resident.append(psutil.Process().memory_info().rss)
            yield outcome

    cohort.fan_out = counted
    return resident


def store_alone(plan: Any, directory: Path) -> None:
    from aelle_core.study import RunDirectory, cohorts

    RunDirectory(directory).prepare(plan, {})
    for index in range(ALONE):
        number, group = divmod(index, len(CELLS))
        packs = cohorts(plan)[group].packs
        store_random_pack(packs, number % len(packs), str(directory), "cpu", 1, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aelle-") as name:
        directory = Path(name)
        os.environ["PREFECT_HOME"] = str(directory / "prefect")
        os.environ["PREFECT_PROFILES_PATH"] = str(directory / "prefect" / "profiles.toml")
        os.environ.pop("PREFECT_API_URL", None)
        load = os.getloadavg()[0]
        costs = measure(options.packs, options.epochs, directory)
    console = Console()
    for title, rows in (
        (f"{os.cpu_count()} cores, load {load:.1f} at the start", costs.rows()),
        ("a million networks on paper", costs.on_paper()),
    ):
        table = Table("what", "how much", title=title, box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table, highlight=False)


if __name__ == "__main__":
    main()
