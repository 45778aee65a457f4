"""The tables of times, and what they say in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.tables import DASH, Table, number, spread, times
from benchmarks.timing import Spread
from benchmarks.training import peers
from benchmarks.training.measure import ENSEMBLE_OF_LAYERS, ENSEMBLE_OF_LOOPS, ENSEMBLE_SIZE, Pack, Times

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
        found = min(every, key=lambda each: Spread.of(each.packs[each.best_pack]).median)
        return found, found.best_pack

    @property
    def gain(self) -> Spread:
        found, pack = self.best
        return found.gain(pack)

    @property
    def milliseconds(self) -> float:
        found, pack = self.best
        return Spread.of(found.packs[pack]).median

    @property
    def alone(self) -> float:
        """Milliseconds of the best one-by-one way."""
        return Spread.of(self.small.best_alone).median


def alone_table(several: Sequence[OfCell], threads: int, peak: float) -> Table:
    shape = several[0].small.shape
    table = Table(
        f"Against one network at a time, {_threads(threads)}",
        f"Milliseconds per network and mini-batch: N = {shape.units}, {shape.batch} sequences of {shape.steps} steps "
        f"of {shape.features} features, forward, backward, clip of the norm and Adam; the median of the turns, "
        "least..largest in brackets; ratios turn by turn. *One by one*: torch.nn's layer for rnn, rnn_relu, gru and "
        "lstm, for the others a Python loop over the steps as research code has it; torch.optim.Adam. *Tuned*: fused "
        "Adam, and in loops the inputs' product before the loop. *Ours*: the fastest way and number of networks side "
        "by side that was measured. *Share of peak*: operations of the matrix products over the time, in the rate of "
        "a 1024² product on the same threads.",
        ("cell", "one by one", "tuned", "ours", "way, networks", "best one by one / ours", "share of peak"),
    )
    for each in several:
        found, pack = each.best
        table.rows.append(
            (
                each.cell,
                *(spread(Spread.of(each.small.alone[way])) for way in peers.ALONE),
                spread(Spread.of(found.packs[pack])),
                str(pack),
                times(each.gain),
                _share(each, peak),
            )
        )
    return table


def ensembles_table(several: Sequence[OfCell]) -> Table:
    said = sorted({text for each in several for text in each.small.said})
    table = Table(
        "Against torch.func ensembles, one thread",
        "Milliseconds per network and mini-batch, as above. stack_module_state, functional_call and vmap of the "
        f"gradient, {ENSEMBLE_SIZE} networks: over the tuned loops, and over torch.nn's layers. "
        + (f"Of layers torch says: {'; '.join(said)} (pytorch issue 105982). " if said else "")
        + f"*Ours*: the fastest way of {ENSEMBLE_SIZE} networks.",
        ("cell", ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS, "ours", "vmap, loops / ours"),
    )
    for each in several:
        loops, layers = (each.small.ensembles.get(name) for name in (ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS))
        if loops is None:
            continue
        ours = each.small.packs[each.small.best_of(ENSEMBLE_SIZE)]
        gain = Spread.of([a / b for a, b in zip(loops, ours, strict=True)])
        layer = DASH if layers is None else spread(Spread.of(layers))
        table.rows.append((each.cell, spread(Spread.of(loops)), layer, spread(Spread.of(ours)), times(gain)))
    return table


def sizes_table(several: Sequence[OfCell], sizes: Sequence[int]) -> Table:
    table = Table(
        "Ours by way and by networks side by side, one thread",
        f"Milliseconds per network and mini-batch, medians, as above. *Chosen* is what the engine itself would train a "
        f"pack of {ENSEMBLE_SIZE} with, after timing its ways for itself.",
        ("cell, way", *(f"P = {size}" for size in sizes)),
    )
    for each in several:
        packs = {**each.small.packs, **({} if each.large is None else each.large.packs)}
        for way in dict.fromkeys(pack.way for pack in packs):
            found = [packs.get(Pack(way, size)) for size in sizes]
            cells = (DASH if values is None else number(Spread.of(values).median) for values in found)
            table.rows.append((f"{each.cell}, {way}{', chosen' * (way == each.chosen)}", *cells))
    return table


def cores_table(one: Sequence[OfCell], two: Sequence[OfCell], threads: int) -> Table:
    table = Table(
        f"Networks per second on {threads} cores",
        "Networks times mini-batches per second. *Threads*: one process with that many threads, measured. "
        f"*Processes*: {threads} processes with one thread each, stated as {threads} times what one thread does; it is "
        "how a study runs. Each of the better way. *Ratio*: the better of ours over the better of one by one.",
        ("cell", "one by one, threads", "one by one, processes", "ours, threads", "ours, processes", "ratio"),
    )
    alone_on_one = {each.cell: each for each in one}
    for each in two:
        single = alone_on_one[each.cell]
        rates = [1e3 / each.alone, threads * 1e3 / single.alone, 1e3 / each.milliseconds]
        rates.append(threads * 1e3 / single.milliseconds)
        gain = max(rates[2:]) / max(rates[:2])
        table.rows.append((each.cell, *(f"{rate:,.0f}" for rate in rates), f"{number(gain)}x"))
    return table


def verdict(several: Sequence[OfCell], threads: int) -> str:
    """Which cells reach what is aimed at, by the medians of this run."""

    def split(chosen: list[OfCell], least: float) -> str:
        reached = [each for each in chosen if each.gain.median >= least]
        missed = [each for each in chosen if each.gain.median < least]
        return f"{_listed(reached)}; not: {_listed(missed)}"

    loops = [each for each in several if not peers.is_layer(each.cell)]
    return (
        f"Verdict, {_threads(threads)}: at least {LAYER_GAIN:.1f}x of the best one-by-one way: "
        f"{split(list(several), LAYER_GAIN)}. Loop cells at least {LOOP_GAIN:g}x: {split(loops, LOOP_GAIN)}."
    )


def _listed(several: Sequence[OfCell]) -> str:
    return ", ".join(f"{each.cell} ({number(each.gain.median)}x)" for each in several) or "none"


def _share(each: OfCell, peak: float) -> str:
    return f"{each.small.shape.operations / (each.milliseconds / 1e3) / peak:.0%}"


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
