"""`make bench-spectrum`: the spectrum engine against its peers, in one run on one machine.

Tables to the terminal and to docs/benchmarks/spectrum.md, a picture beside it to spectrum-cost.{png,svg}, progress to
stderr. Under ten minutes on two cores; `--quick` takes one minute, prints small sizes and writes nothing. With a CUDA
device the GPU part follows (benchmarks/spectrum/spectrum_gpu.py).
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from aelle_core.cells import cells
from aelle_core.lyapunov.kernels.householder.tangents import prepare_kernel
from benchmarks.peers.published import CELLS as PUBLISHED
from benchmarks.shared import page
from benchmarks.shared.progress import Steps, progress_of, statement
from benchmarks.shared.tables import Table
from benchmarks.shared.timing import Spread, on_threads, take_turns
from benchmarks.spectrum import accuracy, comparison, figure, growth, memory, spectrum_gpu
from benchmarks.spectrum.cases import LENGTHS, SEED, Case, kinds, measured_at
from benchmarks.spectrum.comparison import Turns
from benchmarks.spectrum.peak import measure_peak, peak_table
from benchmarks.training.ways import ways_of

DOCS = Path("docs/benchmarks")
MOST_SECONDS = 540.0  # after so many nothing new is begun
GROUP_SECONDS = 40.0  # nor, after so many for one group of ways, another turn
INTRODUCTION = """# The spectrum engine against its peers

Every speed claim about `lyapunov_spectrum`, made by one command in one run: `{command}` (seed {seed}). Peers
stand beside us: the published way (the research scripts' algorithm, benchmarks/peers/published.py), clvlib from PyPI,
and generic automatic differentiation. All ways to one spectrum take turns, A B C A B C, and ratios are made turn by
turn, so that a machine that drifts cancels out; the spread is the least and the largest turn.

{machine}. {timing}.
"""
CELLS = (*PUBLISHED, *(name for name in cells if name not in PUBLISHED))


@dataclass(frozen=True)
class Plan:
    """What is measured. Budgets in seconds; every group of ways that take turns has one, and takes at least `least`
    turns whatever the budget."""

    sizes: tuple[int, ...]
    threads: tuple[int, ...]
    budgets: dict[int, float]
    curve_budget: float
    peak_budget: float
    curve_steps: dict[str, tuple[int, ...]]
    curve_batches: dict[str, tuple[int, ...]]
    memory_steps: dict[str, tuple[int, ...]]
    reference_size: int
    published_reference_size: int

    def groups(self) -> list[tuple[int, str, int]]:
        """Sizes, cells and threads: the cells of the published way first, then the others, from small to large."""
        every = itertools.product(self.sizes, CELLS, self.threads)
        kept = [(units, cell, threads) for units, cell, threads in every if measured_at(cell, units)]
        return sorted(kept, key=lambda group: group[1] not in PUBLISHED)

    def least(self, cell: str, units: int) -> int:
        return 3 if units < 512 or cell in PUBLISHED else 2


FULL = Plan(
    sizes=tuple(LENGTHS),
    threads=(1, 2),
    budgets={16: 0.6, 32: 0.6, 64: 1.0, 128: 2.0, 256: 2.0, 512: 4.0},
    curve_budget=15.0,
    peak_budget=1.0,
    curve_steps=growth.STEPS,
    curve_batches=growth.BATCHES,
    memory_steps=memory.STEPS,
    reference_size=32,
    published_reference_size=64,
)
QUICK = Plan(
    sizes=(16, 32, 64),
    threads=(1, 2),
    budgets={16: 0.2, 32: 0.2, 64: 0.2},
    curve_budget=1.0,
    peak_budget=0.3,
    curve_steps={"exact": (16, 64, 256), "published": (16, 64)},
    curve_batches={"exact": (4, 15), "published": (4, 15)},
    memory_steps={"exact": (100, 1000), "published": (100,)},
    reference_size=16,
    published_reference_size=16,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spectrum", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one minute, small sizes, writes nothing")
    parser.add_argument("--output", type=Path, help="folder for the page and the picture (default: docs/benchmarks)")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    folder = options.output or (None if options.quick else DOCS)

    start = time.perf_counter()
    machine = page.describe_machine("scipy", "numba", "llvmlite", "clvlib", "gmpy2")
    total = len(plan.groups()) + 4 * len(plan.threads) + 5
    with progress_of(total) as steps:
        measured = _measure(plan, steps, start + MOST_SECONDS)
    timing = statement(time.perf_counter() - start, measured.seconds, measured.left_out)
    console = Console(width=None if Console().is_terminal else 200)
    for table in measured.tables:
        console.print(table.rich())
        console.print()
    console.print(timing)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        figure.draw(folder, measured.by_size, measured.by_steps, measured.by_sequences, measured.growths)
        command = "make bench-spectrum" if folder == DOCS else "python -m benchmarks.spectrum"
        introduction = INTRODUCTION.format(command=command, seed=SEED, machine=machine, timing=timing)
        page.write(folder / "spectrum.md", introduction, measured.tables)
        console.print(f"Written: {folder / 'spectrum.md'}, {folder / 'spectrum-cost.png'} and .svg")
    spectrum_gpu.main([])


@dataclass(frozen=True)
class Measured:
    """Tables, curves against N, T and B, memory, the seconds that parts took, and what there was no time for."""

    tables: list[Table]
    by_size: list[growth.Curve]
    by_steps: list[growth.Curve]
    by_sequences: list[growth.Curve]
    growths: list[memory.Growth]
    seconds: dict[str, float]
    left_out: list[str]


def _measure(plan: Plan, steps: Steps, until: float) -> Measured:
    for dtype in (torch.float64, torch.float32):
        prepare_kernel(dtype)
    peaks = _measure_peaks(plan, steps, {})
    with steps.step("curves", "against T"):
        by_steps = growth.against_steps(plan.curve_steps, plan.curve_budget)
    with steps.step("curves", "against B"):
        by_sequences = growth.against_sequences(plan.curve_batches, plan.curve_budget)
    with steps.step("memory"):
        growths = memory.measure_all(plan.memory_steps)
    every = [Case(cell, units, kind) for cell in CELLS for units in plan.sizes for kind in kinds(cell)]
    limits = {cell: plan.published_reference_size if cell in PUBLISHED else plan.reference_size for cell in CELLS}
    with steps.step("references"):
        plain = [accuracy.Question(case) for case in every if case.size <= limits[case.cell]]
        answers = accuracy.references([*plain, *accuracy.saturated_questions()])
    with steps.step("errors"):
        errors = {question.case: accuracy.errors(question, answers[question]) for question in plain}
        saturated = accuracy.saturated_table(answers)
    turns, left_out = _take_all_turns(plan, steps, until)
    peaks = _measure_peaks(plan, steps, peaks)
    by_size = [
        _against_size(turns, "exact", "full/exact"),
        _against_size(turns, "published", "published"),
    ]
    tables = [
        *(comparison.published_table(turns, threads, peaks, errors) for threads in plan.threads),
        *(comparison.cells_table(turns, threads, CELLS, peaks, errors) for threads in plan.threads),
        comparison.clvlib_table(turns, errors),
        saturated,
        comparison.order_table(errors),
        growth.growth_table(by_size, by_steps, by_sequences),
        memory.memory_table(growths),
        peak_table(peaks),
        comparison.lengths_table(plan.sizes),
    ]
    return Measured(tables, by_size, by_steps, by_sequences, growths, steps.taken, left_out)


def _measure_peaks(plan: Plan, steps: Steps, before: comparison.Peaks) -> comparison.Peaks:
    peaks = {}
    for threads, dtype in itertools.product(plan.threads, (torch.float64, torch.float32)):
        with steps.step("peak"):
            peaks[threads, dtype] = measure_peak(threads, dtype, plan.peak_budget).better(before.get((threads, dtype)))
    return peaks


def _take_all_turns(plan: Plan, steps: Steps, until: float) -> tuple[list[Turns], list[str]]:
    """What a busy or slow machine has no time for is left out, and named."""
    turns: list[Turns] = []
    left_out: list[tuple[int, str, int]] = []
    for units, cell, threads in plan.groups():
        detail = f"{cell}, {threads} thread{'s' * (threads > 1)}"
        with steps.step(f"N = {units}", detail), on_threads(threads):
            if time.perf_counter() > until:
                left_out.append((units, cell, threads))
                continue
            least = plan.least(cell, units)
            microseconds = take_turns(ways_of(cell, units, threads), plan.budgets[units], least, patience=GROUP_SECONDS)
            turns.append(Turns(cell, units, threads, microseconds))
    return turns, _left_out_by_size(left_out, len(plan.threads))


def _left_out_by_size(groups: Sequence[tuple[int, str, int]], thread_counts: int) -> list[str]:
    """Return a text for each size, of groups (units, cell, threads): its cells, and on how many threads where only some
    of the thread counts were left out."""
    texts = []
    for units in sorted({units for units, _, _ in groups}):
        threads: dict[str, list[int]] = {}
        for _, cell, count in (group for group in groups if group[0] == units):
            threads.setdefault(cell, []).append(count)
        cells = [
            cell if len(counts) == thread_counts else f"{cell} on {' and '.join(map(str, counts))} threads"
            for cell, counts in threads.items()
        ]
        texts.append(f"N = {units}: {', '.join(cells)}")
    return texts


def _against_size(turns: Sequence[Turns], name: str, way: str) -> growth.Curve:
    """An rnn on one thread: seconds per step and sequence against N."""
    of_rnn = [of_case for of_case in turns if of_case.cell == "rnn" and of_case.threads == 1]
    seconds = tuple(Spread.of(of_case.by_way[way]).median / 1e6 for of_case in of_rnn)
    return growth.Curve(name, tuple(of_case.units for of_case in of_rnn), seconds)


if __name__ == "__main__":
    main()
