"""The tables of times, and what they say in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.shared.tables import DASH, Table, number, spread, times
from benchmarks.shared.timing import Spread
from benchmarks.training import one_by_one
from benchmarks.training.measure import ENSEMBLE_OF_LAYERS, ENSEMBLE_OF_LOOPS, ENSEMBLE_SIZE, Pack, Times
from benchmarks.training.processes import Rates

LOOP_GAIN = 3.0  # aimed at, for the cells that torch.nn has no layer for
LAYER_GAIN = 1.0


@dataclass(frozen=True)
class OfCell:
    """What was measured of a cell on so many threads: all ways in packs of few networks, ours alone in large ones; and
    the way that the engine chooses by its own measurement."""

    small: Times
    large: Times | None = None
    chosen: str | None = None

    @property
    def cell(self) -> str:
        return self.small.shape.cell

    @property
    def best(self) -> tuple[Times, Pack]:
        """Our fastest pack, and the turns it was measured in."""
        every = [times for times in (self.small, self.large) if times is not None]
        best = min(every, key=lambda measured: Spread.of(measured.packs[measured.best_pack]).median)
        return best, best.best_pack

    @property
    def gain(self) -> Spread:
        best, pack = self.best
        return best.gain(pack)

    @property
    def milliseconds(self) -> float:
        best, pack = self.best
        return Spread.of(best.packs[pack]).median

    @property
    def alone(self) -> float:
        """Milliseconds of the best one-by-one way."""
        return Spread.of(self.small.best_alone).median


def alone_table(of_cells: Sequence[OfCell], threads: int, peak: float) -> Table:
    shape = of_cells[0].small.shape
    table = Table(
        f"Against one network at a time, {threads_in_words(threads)}",
        f"Milliseconds per network and mini-batch: N = {shape.units}, {shape.batch} sequences of {shape.steps} steps "
        f"of {shape.features} features, forward, backward, clip of the norm and Adam; the median of the turns, "
        "least..largest in brackets; ratios turn by turn. *One by one*: torch.nn's layer for rnn, rnn_relu, gru and "
        "lstm, for the others a Python loop over the steps as research code has it; torch.optim.Adam. *Tuned*: fused "
        "Adam, and in loops the inputs' product before the loop. *Ours*: the fastest way and number of networks side "
        "by side that was measured. *Share of peak*: operations of the matrix products over the time, in the rate of "
        "a 1024² product on the same threads.",
        ("cell", "one by one", "tuned", "ours", "way, networks", "best one by one / ours", "share of peak"),
    )
    for of_cell in of_cells:
        best, pack = of_cell.best
        table.rows.append(
            (
                of_cell.cell,
                *(spread(Spread.of(of_cell.small.alone[way])) for way in one_by_one.ALONE),
                spread(Spread.of(best.packs[pack])),
                str(pack),
                times(of_cell.gain),
                _share(of_cell, peak),
            )
        )
    return table


def ensembles_table(of_cells: Sequence[OfCell]) -> Table:
    said = sorted({text for of_cell in of_cells for text in of_cell.small.said})
    table = Table(
        "Against torch.func ensembles, one thread",
        "Milliseconds per network and mini-batch, as above. stack_module_state, functional_call and vmap of the "
        f"gradient, {ENSEMBLE_SIZE} networks: over the tuned loops, and over torch.nn's layers. "
        + (f"Of layers torch says: {'; '.join(said)} (pytorch issue 105982). " if said else "")
        + f"*Ours*: the fastest way of {ENSEMBLE_SIZE} networks.",
        ("cell", ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS, "ours", "vmap, loops / ours"),
    )
    for of_cell in of_cells:
        loops, layers = (of_cell.small.ensembles.get(name) for name in (ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS))
        if loops is None:
            continue
        ours = of_cell.small.packs[of_cell.small.best_of(ENSEMBLE_SIZE)]
        gain = Spread.of([slow / fast for slow, fast in zip(loops, ours, strict=True)])
        layer = DASH if layers is None else spread(Spread.of(layers))
        table.rows.append((of_cell.cell, spread(Spread.of(loops)), layer, spread(Spread.of(ours)), times(gain)))
    return table


def sizes_table(of_cells: Sequence[OfCell], sizes: Sequence[int]) -> Table:
    table = Table(
        "Ours by way and by networks side by side, one thread",
        f"Milliseconds per network and mini-batch, medians, as above. *Chosen* is what the engine itself would train a "
        f"pack of {ENSEMBLE_SIZE} with, after timing its ways for itself.",
        ("cell, way", *(f"P = {size}" for size in sizes)),
    )
    for of_cell in of_cells:
        packs = {**of_cell.small.packs, **({} if of_cell.large is None else of_cell.large.packs)}
        for way in dict.fromkeys(pack.way for pack in packs):
            by_size = [packs.get(Pack(way, size)) for size in sizes]
            cells = (DASH if values is None else number(Spread.of(values).median) for values in by_size)
            table.rows.append((f"{of_cell.cell}, {way}{', chosen' * (way == of_cell.chosen)}", *cells))
    return table


def cores_table(rates: Sequence[Rates], on_threads: Sequence[OfCell], cores: int) -> Table:
    table = Table(
        f"Networks per second on {cores} cores",
        f"Networks times mini-batches per second. *Processes*: {cores} with one thread each, which take every turn at "
        f"the same time; it is how a study runs. *Threads*: one process with {cores} threads. Medians, each of the "
        "better way. *Ratio*: processes of ours over processes one by one, turn by turn.",
        ("cell", "one by one, threads", "one by one, processes", "ours, threads", "ours, processes", "ratio"),
    )
    by_threads = {
        of_cell.cell: (f"{1e3 / of_cell.alone:,.0f}", f"{1e3 / of_cell.milliseconds:,.0f}") for of_cell in on_threads
    }
    for rate in rates:
        alone, ours = by_threads.get(rate.cell, (DASH, DASH))
        table.rows.append((rate.cell, alone, _rate(rate.best_alone), ours, _rate(rate.ours), times(rate.gain)))
    return table


def verdict(gains: Mapping[str, Spread], where: str) -> str:
    """Which cells reach what is aimed at, by the medians of this run."""

    def split(chosen: list[str], least: float) -> str:
        reached = [cell for cell in chosen if gains[cell].median >= least]
        return f"{listed(reached)}; not: {listed([cell for cell in chosen if cell not in reached])}"

    def listed(cells: list[str]) -> str:
        return ", ".join(f"{cell} ({number(gains[cell].median)}x)" for cell in cells) or "none"

    loops = [cell for cell in gains if not one_by_one.is_layer(cell)]
    return (
        f"Verdict, {where}: at least {LAYER_GAIN:.1f}x of the best one-by-one way: "
        f"{split(list(gains), LAYER_GAIN)}. Loop cells at least {LOOP_GAIN:g}x: {split(loops, LOOP_GAIN)}."
    )


def _rate(values: Sequence[float]) -> str:
    return f"{Spread.of(values).median:,.0f}"


def _share(of_cell: OfCell, peak: float) -> str:
    return f"{of_cell.small.shape.operations / (of_cell.milliseconds / 1e3) / peak:.0%}"


def threads_in_words(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
