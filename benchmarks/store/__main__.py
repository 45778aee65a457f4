"""The store at scale: what it costs to write, ask for, read and compact many packs: python -m benchmarks.store

Fills a store with packs of random records, then takes the time of every question before and after a compaction, each in
a process of its own: seconds, and the memory that it took at most beyond what it had before.
"""

import argparse
import multiprocessing
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from aelle_core.store.compaction import compact
from aelle_core.store.dataset import SpectraStore
from aelle_core.store.schema import NetworkRecord

STUDY, CELL = "scale-1", "gru"
ASKED = 200  # packs of which `has` is asked
TIER = 64  # files of a size that are merged while a sweep runs


@dataclass(frozen=True)
class Sizes:
    packs: int
    networks: int
    units: int
    epochs: int


Step = Callable[[str, Sizes], int]
"""Something done to the store at an address; gives what it found or left, to be seen that it did."""


@dataclass(frozen=True)
class Cost:
    seconds: float
    memory: int
    rows: int


def records(sizes: Sizes, pack: int, epoch: int) -> list[NetworkRecord]:
    draw = np.random.default_rng((pack, epoch))
    return [
        NetworkRecord(
            study=STUDY, task="digits", cell=CELL, units=sizes.units, pack=f"pack{pack:06d}", epoch=epoch, status="ok",
            network=f"{CELL}-{pack * sizes.networks + number:08d}", seed=pack * sizes.networks + number,
            hyperparameters={"scale": float(draw.random()), "learning_rate": float(draw.random())},
            train_loss=float(draw.random()), validation_loss=float(draw.random()), validation_accuracy=0.5,
            spectrum_hidden=-np.sort(draw.exponential(size=sizes.units)), dead_directions=0, sum_rule_residual=0.0,
        )
        for number in range(sizes.networks)
    ]  # fmt: skip


def fill(address: str, sizes: Sizes) -> int:
    store = SpectraStore(address)
    for epoch in range(sizes.epochs):
        for pack in range(sizes.packs):
            store.write(records(sizes, pack, epoch))
    return sizes.packs * sizes.epochs


def ask(address: str, sizes: Sizes) -> int:
    store = SpectraStore(address)
    asked = random.Random(0).sample(range(sizes.packs), min(ASKED, sizes.packs))
    return sum(store.has(STUDY, CELL, f"pack{pack:06d}", epoch) for pack in asked for epoch in range(sizes.epochs))


def list_stored(address: str, sizes: Sizes) -> int:
    return sum(map(len, SpectraStore(address).stored(STUDY).values()))


def read_all(address: str, sizes: Sizes) -> int:
    return SpectraStore(address).read().num_rows


def read_last(address: str, sizes: Sizes) -> int:
    return SpectraStore(address).read(epoch="last").num_rows


def read_losses(address: str, sizes: Sizes) -> int:
    return SpectraStore(address).read(columns=["network", "epoch", "validation_loss"]).num_rows


def compact_sizes(address: str, sizes: Sizes) -> int:
    return compact(SpectraStore(address), minimum_files=TIER).after


def compact_all(address: str, sizes: Sizes) -> int:
    return compact(SpectraStore(address)).after


def cost(step: Step, address: str, sizes: Sizes) -> Cost:
    """Of one step, taken in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    rows = step(address, sizes)
    seconds = time.perf_counter() - started
    return Cost(seconds, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=10_000)
    parser.add_argument("--networks", type=int, default=16, help="of a pack")
    parser.add_argument("--units", type=int, default=32, help="exponents of a spectrum")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--store", help="directory or address to fill and to keep; a temporary directory by default")
    given = parser.parse_args()
    sizes = Sizes(given.packs, given.networks, given.units, given.epochs)
    address = given.store or tempfile.mkdtemp(prefix="aelle-store-")
    questions: dict[str, Step] = {
        f"has, {min(ASKED, sizes.packs) * sizes.epochs} times": ask,
        "stored": list_stored,
        "read all": read_all,
        "read the last epoch": read_last,
        "read losses": read_losses,
    }
    steps: list[tuple[str, Step]] = [("write", fill)]
    for when, merge in (
        ("", None),
        (f" after compaction by {TIER}", compact_sizes),
        (" after compaction", compact_all),
    ):
        if merge is not None:
            steps.append((f"compact, {'files of a size' if merge is compact_sizes else 'all'}", merge))
        steps += [(f"{name}{when}", question) for name, question in questions.items()]
    table = Table("step", "seconds", "memory", "found", box=None, pad_edge=False)
    spawn = multiprocessing.get_context("spawn")
    try:
        with Console(stderr=True).status("Measuring") as status:
            for name, step in steps:
                status.update(name)
                with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                    taken = pool.submit(cost, step, address, sizes).result()
                table.add_row(name, f"{taken.seconds:.2f}", decimal(taken.memory), str(taken.rows))
    finally:
        if not given.store:
            shutil.rmtree(address)
    Console().print(table)


if __name__ == "__main__":
    main()
