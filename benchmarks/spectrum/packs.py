"""What the spectra of a pack of small networks spend their time on.

    python -m benchmarks.spectrum.packs     # a quarter of a minute on one core

Packs of 16 networks of 32 units on the digits, 22 steps of 15 sequences, hidden-state spectra without the check, as a
study takes them. CPU time of this process on one thread, the parts of the fastest of several runs.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from rich.console import Console
from torch import Tensor

from aelle_core.cells import Network, get_cell
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import pack_spectra
from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents
from aelle_core.lyapunov.systems import StackSystem
from aelle_core.study import get_preset
from aelle_core.tasks import get_task
from benchmarks.shared import page
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import on_threads
from tests.helpers.spectra import stacked

NETWORKS, SEQUENCES, SCALE, RUNS = 16, 15, 0.3, 30
PARTS = {"networks' own steps": (StackSystem, "linearise"), "kernel": (HouseholderTangents, "advance")}


def drawn(cell: str, units: int, features: int) -> Network:
    """A pack of networks with initial weights."""
    made = get_cell(cell, features, units)
    return Network(made, stacked([made.initialise(generator(seed, "weights"), SCALE) for seed in range(NETWORKS)]))


@contextmanager
def parts_timed() -> Iterator[dict[str, float]]:
    """CPU seconds of each part of what runs inside."""
    taken = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, method: Any) -> Any:
        @wraps(method)
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return method(*arguments, **options)
            finally:
                taken[part] += time.process_time() - start

        return run

    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield taken


def fastest(network: Network, inputs: Tensor) -> tuple[float, dict[str, float]]:
    """CPU seconds of the fastest of several runs, and of its parts."""
    runs = []
    for _ in range(RUNS):
        with parts_timed() as taken:
            start = time.process_time()
            pack_spectra(network, inputs, jacobian="hidden")
            runs.append((time.process_time() - start, taken))
    return min(runs, key=lambda run: run[0])


def profile_table() -> Table:
    study = get_preset("digits")
    task = get_task(study.task, options=study.task_options)
    inputs = task.splits.validation.inputs[:SEQUENCES]
    note = f"Milliseconds a network; packs of {NETWORKS}, N = {study.units[0]}, {inputs.shape[1]} steps of {SEQUENCES}."
    table = Table("Spectra of small packs, part by part", note, ("cell", "all", *PARTS, "the rest"))
    for cell in study.cells:
        whole, parts = fastest(drawn(cell, study.units[0], task.input_size), inputs)
        rest = whole - sum(parts.values())
        table.rows.append((cell, *(number(1e3 * part / NETWORKS) for part in (whole, *parts.values(), rest))))
    return table


def main() -> None:
    console = Console()
    console.print(page.describe_machine("numba"))
    with on_threads(1):
        console.print(profile_table().markdown())


if __name__ == "__main__":
    main()
