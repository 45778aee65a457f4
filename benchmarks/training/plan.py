"""How much is measured: in the full run, and in the quick one."""

from dataclasses import dataclass

from benchmarks.training import by_size, pack_memory
from benchmarks.training.measure import ENSEMBLE_SIZE
from benchmarks.training.shapes import CELLS


@dataclass(frozen=True)
class Plan:
    """What is measured. Budgets in seconds; every group of ways that take turns has one."""

    cells: tuple[str, ...]
    small: tuple[int, ...]
    large: tuple[int, ...]
    threads: tuple[int, ...]
    budget: float
    peak_budget: float
    spectra_cells: tuple[str, ...]
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
        of_cell = 1 + len(self.threads) + bool(self.large) + (max(self.threads) > 1)
        curves = 2 * len(self.curve_cells)
        return len(self.cells) * of_cell + len(self.spectra_cells) + curves + 2 + 2 * len(self.threads)


FULL = Plan(
    cells=CELLS,
    small=(1, 4, ENSEMBLE_SIZE),
    large=(64, 200),
    threads=(1, 2),
    budget=3.0,
    peak_budget=0.5,
    spectra_cells=CELLS,
    curve_cells=by_size.CELLS,
    units=by_size.UNITS,
    steps=by_size.STEPS,
    study_sizes=(10, 100),
    study_beyond=(1000,),
    memory_cells=pack_memory.CELLS,
    memory_sizes=pack_memory.NETWORKS,
)
QUICK = Plan(
    cells=("rnn", "lstm", "lem"),
    small=(1, ENSEMBLE_SIZE),
    large=(),
    threads=(1, 2),
    budget=0.5,
    peak_budget=0.2,
    spectra_cells=("lstm",),
    curve_cells=("lstm",),
    units=(16, 64),
    steps=(7, 28),
    study_sizes=(10,),
    study_beyond=(100, 1000),
    memory_cells=("lstm",),
    memory_sizes=(4,),
    least=2,
)
