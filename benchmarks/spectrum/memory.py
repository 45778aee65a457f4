"""Memory against the length of a sequence: how much the resident peak of a fresh process grows in one run.

`python -m benchmarks.spectrum.memory WAY STEPS` prints the growth in bytes; a short run of the same way comes before,
so that compiled code and libraries are in memory already.
"""

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from aelle_core.cells import to_torch
from aelle_core.lyapunov import lyapunov_spectrum
from benchmarks.peers.published import published_spectrum
from benchmarks.shared.tables import DASH, Table, number
from benchmarks.shared.timing import on_threads
from benchmarks.spectrum.cases import SEQUENCES, draw_inputs, draw_network

UNITS = 64
STEPS = {"exact": (100, 1000, 10_000), "fast": (100, 10_000), "published": (100, 1000)}


@dataclass(frozen=True)
class Growth:
    """Bytes by which one run over so many steps raised the resident peak."""

    way: str
    steps: int
    bytes: int


def measure_all(steps: dict[str, tuple[int, ...]]) -> list[Growth]:
    """Each in a process of its own."""
    return [
        Growth(way, length, int(answer_of("benchmarks.spectrum.memory", way, str(length))))
        for way, lengths in steps.items()
        for length in lengths
    ]


def answer_of(module: str, *arguments: str) -> str:
    """What a module prints when it is run in a process of its own."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure_here(way: str, steps: int) -> int:
    """An rnn of 64 units on 15 sequences of `steps` steps of 28 features, one thread."""
    network = draw_network("rnn", UNITS)
    layer = to_torch(network)
    inputs = draw_inputs(SEQUENCES, steps)
    precision: Literal["exact", "fast"] = "fast" if way == "fast" else "exact"

    def run(given: Tensor) -> None:
        if way == "published":
            published_spectrum(layer, given)
        else:
            lyapunov_spectrum(network, given, check=False, precision=precision)

    with on_threads(1):
        run(inputs[:, :4])
        before = resident_peak()
        run(inputs)
        return resident_peak() - before


def resident_peak() -> int:
    """The resident peak in bytes. Linux's getrusage also counts what the parent had before it started us."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_table(growths: list[Growth]) -> Table:
    table = Table(
        "Memory",
        f"By how many MiB one run raises the resident peak of a fresh process: rnn, N = {UNITS}, {SEQUENCES} "
        "sequences, whose inputs are there before. Ours works in stretches of steps, as many as fit into 16 MB. The "
        f"published way stores every R: it grows by {SEQUENCES * UNITS**2 * 8 / 2**20:.1f} MiB a step, and 10,000 "
        f"steps would take {10_000 * SEQUENCES * UNITS**2 * 8 / 2**30:.1f} GiB (not run).",
        ("steps", "ours, exact", "ours, fast", "published"),
    )
    texts = {(growth.way, growth.steps): f"{number(growth.bytes / 2**20)}" for growth in growths}
    for steps in sorted({growth.steps for growth in growths}):
        table.rows.append((f"{steps:,}", *(texts.get((way, steps), DASH) for way in ("exact", "fast", "published"))))
    return table


if __name__ == "__main__":
    print(measure_here(sys.argv[1], int(sys.argv[2])))
