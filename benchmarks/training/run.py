"""One run: everything that a plan asks for, until the time is over."""

import time
from dataclasses import dataclass, replace

import torch

from aelle_core.lyapunov.kernels.householder.tangents import prepare_kernel
from benchmarks.shared.progress import Steps
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import on_threads
from benchmarks.spectrum.product import product_rate
from benchmarks.training import by_cell, by_size, one_by_one, pack_memory, packs, spectra, studies
from benchmarks.training.by_cell import OfCell
from benchmarks.training.measure import ENSEMBLE_SIZE, Pack, Times, measure
from benchmarks.training.plan import Plan
from benchmarks.training.processes import Processes, Rates
from benchmarks.training.shapes import Shape

GROUP_SECONDS = 30.0  # after so many for one group of ways no further turn is begun


@dataclass(frozen=True)
class Measured:
    """What a run found: the cells on one thread, the curves against P, N and T, tables, seconds, what was left out."""

    cells: list[OfCell]
    by_networks: list[by_size.Curve]
    by_units: list[by_size.Curve]
    by_steps: list[by_size.Curve]
    tables: list[Table]
    verdicts: list[str]
    seconds: dict[str, float]
    left_out: list[str]


class Run:
    """All measurements, in the order of what is to be had if the time is short."""

    def __init__(self, plan: Plan, steps: Steps, until: float) -> None:
        self.plan = plan
        self.steps = steps
        self.until = until
        self.left_out: list[str] = []

    def measure(self) -> Measured:
        plan, steps = self.plan, self.steps
        for cell in plan.cells:
            with steps.step("equal work", cell):
                one_by_one.check_equal_work(cell)
        prepare_kernel(torch.float64)
        peaks = self._peaks({})
        one_thread = [self._on_one_thread(cell) for cell in plan.cells]
        by_threads = {1: one_thread}
        for threads in plan.threads:
            if threads > 1:
                by_threads[threads] = self._on(threads, one_thread)
        best = {of_cell.cell: of_cell.best[1].way for of_cell in one_thread}
        cores = max(plan.threads)
        rates = self._on_cores(cores, one_thread) if cores > 1 else []
        shares = self._shares(one_thread, best)
        fastest = {of_cell.cell: of_cell.small.best_pack for of_cell in one_thread if of_cell.cell in plan.curve_cells}
        costs = self._studies()
        if plan.large:
            one_thread = by_threads[1] = [replace(of_cell, large=self._large(of_cell)) for of_cell in one_thread]
        by_units = self._curves("units", plan.units, fastest)
        by_steps = self._curves("steps", plan.steps, fastest)
        tables = [*costs, *self._memory(best)]
        peaks = self._peaks(peaks)
        by_networks = by_size.against_networks(one_thread)
        curves = (("P", "networks side by side", by_networks), ("N", "units", by_units), ("T", "steps", by_steps))
        of_cells_by_threads = {threads: of_cells for threads, of_cells in by_threads.items() if of_cells}
        before = [
            *(
                by_cell.alone_table(of_cells, threads, peaks[threads])
                for threads, of_cells in of_cells_by_threads.items()
            ),
            by_cell.ensembles_table(one_thread),
            by_cell.sizes_table(one_thread, (*plan.small, *plan.large)),
            *([by_cell.cores_table(rates, by_threads[cores], cores)] if rates else []),
            *(by_size.growth_table(symbol, what, measured) for symbol, what, measured in curves if measured),
            spectra.shares_table(shares),
        ]
        gains = {
            by_cell.threads_in_words(threads): {of_cell.cell: of_cell.gain for of_cell in of_cells}
            for threads, of_cells in of_cells_by_threads.items()
        }
        if rates:
            gains[f"{cores} processes of one thread, as a study runs"] = {rate.cell: rate.gain for rate in rates}
        verdicts = [by_cell.verdict(gains_of_cells, where) for where, gains_of_cells in gains.items()]
        return Measured(
            one_thread,
            by_networks,
            by_units,
            by_steps,
            [*before, *tables, _peak_table(peaks)],
            verdicts,
            steps.taken,
            self.left_out,
        )

    def _time_for(self, what: str) -> bool:
        """What a busy or slow machine has no time for is left out, and named."""
        if time.perf_counter() <= self.until:
            return True
        self.left_out.append(what)
        return False

    def _peaks(self, before: dict[int, float]) -> dict[int, float]:
        """Operations per second by threads; the better of before and now."""
        peaks = {}
        for threads in self.plan.threads:
            with self.steps.step("peak"), on_threads(threads):
                rate = product_rate(1024, torch.float32, self.plan.peak_budget)
                peaks[threads] = max(rate, before.get(threads, 0.0))
        return peaks

    def _on_one_thread(self, cell: str) -> OfCell:
        """Every way, in packs of every small size."""
        shape = Shape(cell)
        with self.steps.step("1 thread", cell):
            wanted = [Pack(way, size) for way in packs.ways_of(shape) for size in self.plan.small]
            return OfCell(self._measure(shape, 1, wanted, ensembles=True), chosen=packs.chosen(shape, ENSEMBLE_SIZE))

    def _on(self, threads: int, one_thread: list[OfCell]) -> list[OfCell]:
        """Our fastest way on one thread, in packs of every small size."""
        measured = []
        for of_cell in one_thread:
            with self.steps.step(f"{threads} threads", of_cell.cell):
                if self._time_for(f"{of_cell.cell} on {threads} threads"):
                    wanted = [Pack(of_cell.small.best_pack.way, size) for size in self.plan.small]
                    measured.append(OfCell(self._measure(of_cell.small.shape, threads, wanted)))
        return measured

    def _large(self, of_cell: OfCell) -> Times | None:
        """The way that is fastest in the largest of the small packs, one thread."""
        with self.steps.step("large packs", of_cell.cell):
            if not self._time_for(f"large packs of {of_cell.cell}"):
                return None
            way = of_cell.small.best_of(max(self.plan.small)).way
            return self._measure(of_cell.small.shape, 1, [Pack(way, size) for size in self.plan.large], least=2)

    def _on_cores(self, cores: int, one_thread: list[OfCell]) -> list[Rates]:
        """Our fastest pack on one thread, in so many processes at the same time."""
        rates = []
        with Processes(cores) as processes:
            for of_cell in one_thread:
                with self.steps.step(f"{cores} processes", of_cell.cell):
                    if self._time_for(f"{of_cell.cell} in {cores} processes"):
                        rates.append(processes.measure(of_cell.small.shape, of_cell.best[1]))
        return rates

    def _shares(self, one_thread: list[OfCell], best: dict[str, str]) -> list[spectra.Share]:
        shares = []
        for of_cell in (of_cell for of_cell in one_thread if of_cell.cell in self.plan.spectra_cells):
            with self.steps.step("spectra", of_cell.cell):
                if self._time_for(f"spectra of {of_cell.cell}"):
                    shares.append(spectra.measure_share(of_cell, best[of_cell.cell], self.plan.budget / 2))
        return shares

    def _studies(self) -> list[Table]:
        with self.steps.step("studies"):
            if not self._time_for("studies"):
                return []
            costs = studies.measure_studies(self.plan.study_sizes, self.plan.study_beyond)
            return [studies.studies_table(costs, studies.seconds_alone())]

    def _memory(self, best: dict[str, str]) -> list[Table]:
        with self.steps.step("memory"):
            if not self._time_for("memory"):
                return []
            ways = {cell: best[cell] for cell in self.plan.memory_cells}
            return [pack_memory.memory_table(pack_memory.measure_all(ways, self.plan.memory_sizes))]

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

    def _curves(self, name: str, values: tuple[int, ...], fastest: dict[str, Pack]) -> list[by_size.Curve]:
        curves = []
        for cell, pack in fastest.items():
            with self.steps.step(f"against {name}", cell):
                if self._time_for(f"{cell} against {name}"):
                    curves += by_size.against(name, values, cell, pack, self.plan.budget / 3, self.plan.least)
        return curves


def _peak_table(peaks: dict[int, float]) -> Table:
    table = Table(
        "What the machine can do",
        "Torch's matrix product, 1024 x 1024, float32, in 10⁹ floating-point operations per second; measured before "
        "and after everything else, the better counts.",
        ("threads", "rate"),
    )
    table.rows = [(str(threads), number(rate / 1e9)) for threads, rate in peaks.items()]
    return table
