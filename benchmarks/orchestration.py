"""What 10,000 packs cost in flow, Ray and store, without their training: python -m benchmarks.orchestration

The real flow on a Prefect server and a Ray cluster of its own; only the training of a pack is replaced, by storing
random numbers. Then the same call again, where everything is stored already, and the store read before and after a
compaction.
"""

import argparse
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from benchmarks.stub_pack import store_random_pack

ALONE = 200  # packs that are stored without flow and Ray
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
    return sum(each.stat().st_blocks * 512 for each in path.rglob("*") if each.is_file())


class Peak:
    """Memory of this process: resident now, and the most there ever was."""

    def __init__(self) -> None:
        self.start = psutil.Process().memory_info().rss

    @property
    def growth(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self.start


def measure(packs: int, epochs: int, directory: Path) -> list[tuple[str, str]]:
    """Names and values, in the order in which they are shown."""
    from flows import cohort
    from flows.cluster import ray_cluster
    from flows.parameters import Resources, StudyParameters
    from flows.server import prefect_server
    from flows.sweep import sweep

    cohort.train_pack = store_random_pack
    size = 16
    per_cohort = -(-packs // len(CELLS))
    study = {"name": "orchestration", "cells": list(CELLS), "units": [32], "epochs": epochs, "pack_size": size}
    parameters = StudyParameters(**study, networks=per_cohort * size)
    plan = parameters.to_study()
    packs = per_cohort * len(CELLS)
    fragments = packs * (epochs + 1)
    run = directory / "run"
    with prefect_server(), ray_cluster(Resources(), {}):
        import ray

        peak = Peak()
        seconds, _ = timed(lambda: sweep(parameters, str(run)))
        memory = peak.growth
        object_bytes = ray.cluster_resources()["object_store_memory"] - ray.available_resources()["object_store_memory"]
        again, _ = timed(lambda: sweep(parameters, str(run)))
    rows = prefect_rows(directory / "prefect")
    largest = ", ".join(f"{name} {count:,}" for name, count in list(rows.items())[:6])
    from aelle_core.compaction import compact
    from aelle_core.study import RunDirectory

    store = RunDirectory(run).store
    stub, _ = timed(lambda: store_alone(plan, directory / "alone"))
    listing, known = timed(lambda: sum(map(len, store.stored(plan.identity).values())))
    assert known == fragments, f"{known} fragments are stored: expected {fragments}"
    before = disk_bytes(run)
    reading, table = timed(store.read)
    assert table.num_rows == plan.total_networks * (epochs + 1)
    compacting, _ = timed(lambda: compact(store))
    after = disk_bytes(run)
    listing_after, known = timed(lambda: sum(map(len, store.stored(plan.identity).values())))
    assert known == fragments
    reading_after, other = timed(store.read)
    assert other.equals(table)
    overhead = seconds / packs - stub / ALONE / (os.cpu_count() or 1)
    return [
        ("packs, cohorts, fragments", f"{packs:,}, {len(CELLS)}, {fragments:,}"),
        ("the sweep", f"{seconds:.0f} s, {1000 * seconds / packs:.1f} ms a pack"),
        ("of a pack: drawing and storing it, one after the other in one process", f"{1000 * stub / ALONE:.1f} ms"),
        ("of a pack: overhead of flow and Ray (the rest, on all cores)", f"{1000 * overhead:.1f} ms"),
        ("the sweep again, all stored", f"{again:.1f} s, {1000 * again / packs:.2f} ms a pack"),
        ("memory of the driver: growth at most, all packs", f"{decimal(memory)}, {memory / packs:.0f} bytes a pack"),
        ("Ray: tasks, bytes in the object store", f"{packs:,}, {decimal(int(object_bytes))}"),
        ("Prefect: rows", f"{sum(rows.values()):,} ({largest})"),
        ("Prefect: database", decimal(disk_bytes(directory / "prefect"))),
        ("on disk before, after compaction", f"{decimal(before)}, {decimal(after)}"),
        ("what is stored, listed before, after", f"{listing:.2f} s, {listing_after:.2f} s"),
        ("all rows read before, after", f"{reading:.1f} s, {reading_after:.1f} s"),
        ("compaction", f"{compacting:.1f} s"),
    ]


def store_alone(plan: Any, directory: Path) -> None:
    from aelle_core.study import RunDirectory, cohorts

    RunDirectory(directory).prepare(plan, {})
    for number in range(ALONE):
        store_random_pack(cohorts(plan)[0].packs, number, str(directory), "cpu", 1, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aelle-") as place:
        directory = Path(place)
        os.environ["PREFECT_HOME"] = str(directory / "prefect")
        os.environ["PREFECT_PROFILES_PATH"] = str(directory / "prefect" / "profiles.toml")
        os.environ.pop("PREFECT_API_URL", None)
        load = os.getloadavg()[0]
        rows = measure(options.packs, options.epochs, directory)
    table = Table("what", "measured", title=f"{os.cpu_count()} cores, load {load:.1f} at the start", box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table, highlight=False)


if __name__ == "__main__":
    main()
