"""`make bench`: training packs of networks beside the ways that frameworks offer, in one run on one machine.

Tables and a verdict to the terminal and to docs/training-benchmark.md, a picture to docs/training-speed.{png,svg},
progress to stderr. Under ten minutes on two cores; `--quick` takes less than a minute, and writes nothing.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from aelle_core.lyapunov.householder.tangents import prepare_kernel
from benchmarks import page
from benchmarks.cases import SEED
from benchmarks.product import product_rate
from benchmarks.progress import Steps, progress_of, statement
from benchmarks.tables import Table, number
from benchmarks.timing import on_threads
from benchmarks.training import comparison, figure, growth, memory, packs, peers, spectra, studies
from benchmarks.training.cases import CELLS, Shape
from benchmarks.training.comparison import OfCell
from benchmarks.training.measure import ENSEMBLE_SIZE, Pack, Times, measure

DOCS = Path("docs")
MOST_SECONDS = 540.0  # after so many nothing new is begun
GROUP_SECONDS = 30.0  # nor, after so many for one group of ways, another turn
INTRODUCTION = """# Training many networks: packs against one by one

Every speed claim about training, made by one command in one run: `{command}` (seed {seed}). Peers stand beside us:
one network at a time, as scripts train them, and ensembles by torch.func. Before any clock starts, every peer is held
to our losses over several steps, from the same weights and under the same noise, so that all do the same work. The
ways take turns, A B C A B C, and ratios are made turn by turn, so that a machine that drifts cancels out; the spread is
the least and the largest turn.

{machine}. {timing}.

{verdicts}
"""


@dataclass(frozen=True)
class Plan:
    """What is measured. Budgets in seconds; every group of ways that take turns has one."""

    cells: tuple[str, ...]
    small: tuple[int, ...]
    large: tuple[int, ...]
    threads: tuple[int, ...]
    budget: float
    peak_budget: float
    curve_cells: tuple[str, ...]
    units: tuple[int, ...]
    steps: tuple[int, ...]
    study_sizes: tuple[int, ...]
    study_beyond: tuple[int, ...]
    memory_cells: tuple[str, ...]
    memory_sizes: tuple[int, ...]
    least: int = 3

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        of_cell = 1 + len(self.threads) + bool(self.large) + 1
        return len(self.cells) * of_cell + len(self.curve_cells) * 2 + 4 + 2 * len(self.threads)


FULL = Plan(
    cells=CELLS,
    small=(1, 4, ENSEMBLE_SIZE),
    large=(64, 200),
    threads=(1, 2),
    budget=3.0,
    peak_budget=0.5,
    curve_cells=growth.CELLS,
    units=growth.UNITS,
    steps=growth.STEPS,
    study_sizes=(10, 100),
    study_beyond=(1000,),
    memory_cells=memory.CELLS,
    memory_sizes=memory.NETWORKS,
)
QUICK = Plan(
    cells=("rnn", "lstm", "lem"),
    small=(1, ENSEMBLE_SIZE),
    large=(),
    threads=(1, 2),
    budget=0.5,
    peak_budget=0.2,
    curve_cells=("lstm",),
    units=(16, 64),
    steps=(7, 28),
    study_sizes=(10,),
    study_beyond=(100, 1000),
    memory_cells=("lstm",),
    memory_sizes=(4,),
    least=2,
)


@dataclass(frozen=True)
class Measured:
    """What a run found: by threads the cells, the curves against P, N and T, tables, seconds, what was left out."""

    by_threads: dict[int, list[OfCell]]
    by_networks: list[growth.Curve]
    by_units: list[growth.Curve]
    by_steps: list[growth.Curve]
    tables: list[Table]
    verdicts: list[str]
    seconds: dict[str, float]
    left_out: list[str]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute, few cells, writes nothing")
    parser.add_argument("--output", type=Path, help="folder for the page and the picture (default: docs)")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    folder = options.output or (None if options.quick else DOCS)

    start = time.perf_counter()
    machine = page.describe_machine("numba")
    with progress_of(plan.total) as steps:
        measured = _Run(plan, steps, start + MOST_SECONDS).measure()
    timing = statement(time.perf_counter() - start, measured.seconds, measured.left_out)
    console = Console(width=None if Console().is_terminal else 200)
    for table in measured.tables:
        console.print(table.rich())
        console.print()
    for line in (*measured.verdicts, timing):
        console.print(line)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        figure.draw(folder, measured.by_threads[1], measured.by_networks, measured.by_units, measured.by_steps)
        introduction = INTRODUCTION.format(
            command="make bench" if folder == DOCS else "python -m benchmarks.training",
            seed=SEED,
            machine=machine,
            timing=timing,
            verdicts="\n\n".join(measured.verdicts),
        )
        page.write(folder / "training-benchmark.md", introduction, measured.tables)
        console.print(f"Written: {folder / 'training-benchmark.md'}, {folder / 'training-speed.png'} and .svg")


class _Run:
    def __init__(self, plan: Plan, steps: Steps, until: float) -> None:
        self.plan = plan
        self.steps = steps
        self.until = until
        self.left_out: list[str] = []

    def measure(self) -> Measured:
        plan, steps = self.plan, self.steps
        for cell in plan.cells:
            with steps.step("equal work", cell):
                peers.check_equal_work(cell)
        prepare_kernel(torch.float64)
        peaks = self._peaks({})
        one = self._cells_on_one_thread()
        by_threads = {1: one, **{threads: self._cells_on(threads, one) for threads in plan.threads if threads > 1}}
        best = {each.cell: each.best[1].way for each in one}
        shares = []
        for each in one:
            with steps.step("spectra", each.cell):
                if self._time_for(f"spectra of {each.cell}"):
                    shares.append(spectra.measure_share(each, best[each.cell], plan.budget / 2))
        ways = {cell: best[cell] for cell in plan.curve_cells}
        by_units = self._curves("units", plan.units, ways)
        by_steps = self._curves("steps", plan.steps, ways)
        with steps.step("study"):
            costs = studies.measure_studies(plan.study_sizes, plan.study_beyond)
            alone = studies.seconds_alone()
        with steps.step("memory"):
            growths = memory.measure_all({cell: best[cell] for cell in plan.memory_cells}, plan.memory_sizes)
        peaks = self._peaks(peaks)
        by_networks = growth.against_networks(each for each in one if each.large is not None)
        curves = (("P", "networks side by side", by_networks), ("N", "units", by_units), ("T", "steps", by_steps))
        tables = [
            *(comparison.alone_table(found, threads, peaks[threads]) for threads, found in by_threads.items()),
            comparison.ensembles_table(one),
            comparison.sizes_table(one, (*plan.small, *plan.large)),
            *(comparison.cores_table(one, by_threads[threads], threads) for threads in plan.threads if threads > 1),
            *(growth.growth_table(symbol, what, found) for symbol, what, found in curves if found),
            spectra.shares_table(shares),
            studies.studies_table(costs, alone),
            memory.memory_table(growths),
            _peak_table(peaks),
        ]
        verdicts = [comparison.verdict(found, threads) for threads, found in by_threads.items()]
        return Measured(by_threads, by_networks, by_units, by_steps, tables, verdicts, steps.taken, self.left_out)

    def _time_for(self, what: str) -> bool:
        """What a busy or slow machine has no time for is left out, and named."""
        if time.perf_counter() <= self.until:
            return True
        self.left_out.append(what)
        return False

    def _peaks(self, before: dict[int, float]) -> dict[int, float]:
        """Operations per second by threads; the better of before and now."""
        found = {}
        for threads in self.plan.threads:
            with self.steps.step("peak"), on_threads(threads):
                rate = product_rate(1024, torch.float32, self.plan.peak_budget)
                found[threads] = max(rate, before.get(threads, 0.0))
        return found

    def _cells_on_one_thread(self) -> list[OfCell]:
        found = []
        for cell in self.plan.cells:
            shape = Shape(cell)
            with self.steps.step("1 thread", cell):
                wanted = [Pack(way, size) for way in packs.ways_of(shape) for size in self.plan.small]
                small = self._measure(shape, 1, wanted, ensembles=True)
            large = None
            if self.plan.large:
                with self.steps.step("large packs", cell):
                    if self._time_for(f"large packs of {cell}"):
                        wanted = [Pack(small.best_pack.way, size) for size in self.plan.large]
                        large = self._measure(shape, 1, wanted, least=2)
            found.append(OfCell(small, large))
        return found

    def _cells_on(self, threads: int, one: list[OfCell]) -> list[OfCell]:
        """Our fastest way on one thread, in packs of every small size."""
        found = []
        for each in one:
            with self.steps.step(f"{threads} threads", each.cell):
                if self._time_for(f"{each.cell} on {threads} threads"):
                    wanted = [Pack(each.small.best_pack.way, size) for size in self.plan.small]
                    found.append(OfCell(self._measure(each.small.shape, threads, wanted), None))
        return found

    def _measure(
        self, shape: Shape, threads: int, wanted: list[Pack], ensembles: bool = False, least: int | None = None
    ) -> Times:
        return measure(
            shape,
            threads,
            wanted,
            ensembles=ensembles,
            budget=self.plan.budget,
            least=least or self.plan.least,
            patience=GROUP_SECONDS,
        )

    def _curves(self, name: str, values: tuple[int, ...], ways: dict[str, str]) -> list[growth.Curve]:
        found = []
        for cell, way in ways.items():
            with self.steps.step(f"against {name}", cell):
                if self._time_for(f"{cell} against {name}"):
                    found += growth.against(name, values, cell, way, self.plan.budget / 3, self.plan.least)
        return found


def _peak_table(peaks: dict[int, float]) -> Table:
    table = Table(
        "What the machine can do",
        "Torch's matrix product, 1024 x 1024, float32, in 10⁹ floating-point operations per second; measured before "
        "and after everything else, the better counts.",
        ("threads", "rate"),
    )
    table.rows = [(str(threads), number(rate / 1e9)) for threads, rate in peaks.items()]
    return table


if __name__ == "__main__":
    main()
