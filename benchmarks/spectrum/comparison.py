"""The tables of times: against the published way, of all cells against automatic differentiation, against clvlib."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch

from benchmarks.peers import published
from benchmarks.shared.tables import DASH, Table, error, number, spread, times
from benchmarks.shared.timing import Spread, ratio
from benchmarks.spectrum.cases import LENGTHS, SEQUENCES, Case, kinds
from benchmarks.spectrum.peak import Peak

# Least ratios aimed at: the published way over ours in float64, on the same threads.
TARGETS = {
    ("rnn", "full"): {64: 4.3, 128: 4.9, 256: 4.8, 512: 5.0},
    ("gru", "full"): {64: 6.9, 128: 9.1, 256: 9.7, 512: 9.9},
    ("lstm", "hidden"): {64: 9.2, 128: 13, 256: 26, 512: 18},
    ("lstm", "full"): {64: 3.6, 128: 2.5, 256: 4.3, 512: 2.6},
}

Errors = dict[Case, dict[str, float]]
Peaks = dict[tuple[int, torch.dtype], Peak]


@dataclass(frozen=True)
class Turns:
    """Microseconds per step and sequence of every way to one cell's spectra, turn by turn: kind/way -> numbers."""

    cell: str
    units: int
    threads: int
    by_way: dict[str, list[float]]

    def of(self, case: Case, way: str) -> list[float]:
        return self.by_way[f"{case.kind}/{way}"]


def published_table(measured: Iterable[Turns], threads: int, peaks: Peaks, errors: Errors) -> Table:
    table = Table(
        f"Against the published way, {_threads(threads)}",
        "µs per step and sequence: the median of the turns, least..largest in brackets; ratios turn by turn. "
        f"Forward pass included, {SEQUENCES} sequences (large whole states: fewer, see the last table), float64; ours "
        "without the check, which the published way does not have. *Published* and *tightened* are of the hidden "
        "state also where ours is of the whole state (lstm with h and c: 2N exponents against their N). *Tightened* "
        "is the same algorithm without matrices for diagonals. *Share of peak*: 10/3 n³ operations a step in n "
        "dimensions, as for a factorisation a step, over the time, in the machine's best rate (below); "
        "where two steps share a factorisation they take 8/3 n³ each, where eight do 13/6 n³. Errors are the largest "
        "of an exponent, nats per step, against MPFR over 3 steps of one sequence, the published way moved by J; "
        f"{DASH} beyond 64 dimensions, where a reference takes minutes.",
        (
            "cell, N",
            "published",
            "tightened",
            "ours, exact",
            "ours, fast",
            "published / ours",
            "aim",
            "tightened / ours",
            "share of peak",
            "error: published",
            "exact",
            "fast",
        ),
    )
    for turns, case in _rows(measured, threads, published.CELLS):
        theirs, tightened = turns.by_way["published"], turns.by_way["tightened"]
        ours = turns.of(case, "exact")
        errors_of_case = errors.get(case, {})
        aim = TARGETS[case.cell, case.kind].get(case.units)
        table.rows.append(
            (
                _label(case),
                spread(Spread.of(theirs)),
                spread(Spread.of(tightened)),
                spread(Spread.of(ours)),
                number(Spread.of(turns.of(case, "fast")).median),
                times(ratio(theirs, ours)),
                DASH if aim is None else f"{aim:g}x",
                times(ratio(tightened, ours)),
                _share(case, ours, peaks[threads, torch.float64]),
                error(errors_of_case.get("published")),
                error(errors_of_case.get("exact")),
                error(errors_of_case.get("fast")),
            )
        )
    return table


def cells_table(measured: Iterable[Turns], threads: int, names: Sequence[str], peaks: Peaks, errors: Errors) -> Table:
    table = Table(
        f"All cells, {_threads(threads)}",
        "As above. *Autodiff*: torch.func.jacrev of the step, vectorised by vmap, and torch.linalg.qr. *Check*: "
        "what it costs to tell which exponents are resolved, exact with it over exact without. *Exact / fast*: how "
        "many times faster float32 is; its share is of the best rate in float32. Errors: ∞ where dead directions "
        "were missed; beyond 32 dimensions for rnn, gru and lstm only. `noisy` without its noise is `lipschitz`: up to "
        "N = 64 only.",
        (
            "cell, N",
            "autodiff",
            "ours, exact",
            "autodiff / ours",
            "check",
            "ours, fast",
            "exact / fast",
            "share of peak",
            "fast",
            "error: autodiff",
            "exact",
            "fast",
        ),
    )
    for turns, case in _rows(measured, threads, names):
        ours, fast, theirs = (turns.of(case, way) for way in ("exact", "fast", "autodiff"))
        checked = turns.by_way.get(f"{case.kind}/checked")
        errors_of_case = errors.get(case, {})
        table.rows.append(
            (
                _label(case),
                spread(Spread.of(theirs)),
                spread(Spread.of(ours)),
                times(ratio(theirs, ours)),
                DASH if checked is None else times(ratio(checked, ours)),
                spread(Spread.of(fast)),
                times(ratio(ours, fast)),
                _share(case, ours, peaks[threads, torch.float64]),
                _share(case, fast, peaks[threads, torch.float32]),
                error(errors_of_case.get("autodiff")),
                error(errors_of_case.get("exact")),
                error(errors_of_case.get("fast")),
            )
        )
    return table


def clvlib_table(measured: Sequence[Turns], errors: Errors) -> Table:
    table = Table(
        f"Against clvlib {version('clvlib')}",
        "rnn, µs per step and sequence. clvlib takes one sequence at a time and a Jacobian made by hand; it runs with "
        'its "discrete" stepper, progress bar off. One thread: on two it is slower, as numpy and scipy bring a BLAS '
        "each, whose threads wait for work on the same two cores.",
        ("N", "clvlib", "ours, exact", "clvlib / ours", "error: clvlib", "exact"),
    )
    for turns, case in _rows(measured, 1, ("rnn",)):
        theirs, ours = turns.of(case, "clvlib"), turns.of(case, "exact")
        errors_of_case = errors.get(case, {})
        table.rows.append(
            (
                str(turns.units),
                spread(Spread.of(theirs)),
                spread(Spread.of(ours)),
                times(ratio(theirs, ours)),
                error(errors_of_case.get("clvlib")),
                error(errors_of_case.get("exact")),
            )
        )
    return table


def lengths_table(sizes: Iterable[int]) -> Table:
    table = Table(
        "Steps and sequences of one timed run",
        "Short at large N, so that all fits into ten minutes; times are divided by both. A run of ours bears a "
        "call's fixed cost and, every 16 steps, one or two determinants of one sequence for the sum rule: a run of 8 "
        "steps bears more of them than a long one. *Wide*: matrices of 2N, the whole states of lstm, cornn and lem.",
        ("N", "ours", "published", "autodiff", "ours, wide", "autodiff, wide"),
    )
    for units in sizes:
        lengths = LENGTHS[units]
        table.rows.append(
            (
                str(units),
                f"{lengths.ours} x {SEQUENCES}",
                f"{lengths.published} x {SEQUENCES}",
                f"{lengths.autodiff} x {lengths.autodiff_sequences}",
                f"{lengths.ours_wide} x {lengths.ours_wide_sequences}",
                f"{lengths.autodiff_wide} x {lengths.autodiff_sequences}",
            )
        )
    return table


def order_table(errors: Errors) -> Table:
    table = Table(
        "The order of the product",
        "As published, tangents move by the transposed Jacobian. On a driven network that is another product with "
        "other exponents: the largest difference from MPFR over 3 steps, nats per step, beside what is left when the "
        "same code moves by J.",
        ("cell, N", "published, by J^T", "published, by J", "ours"),
    )
    kept = {case: by_way for case, by_way in errors.items() if "published, J^T" in by_way}
    for case in sorted(kept, key=lambda case: (published.CELLS.index(case.cell), case.units)):
        by_transposed = f"{kept[case]['published, J^T']:.2f}"
        table.rows.append((_label(case), by_transposed, error(kept[case]["published"]), error(kept[case]["exact"])))
    return table


def _rows(measured: Iterable[Turns], threads: int, names: Sequence[str]) -> list[tuple[Turns, Case]]:
    """Cell by cell in the order of the names, by size, the hidden state before the whole."""
    chosen = [turns for turns in measured if turns.threads == threads and turns.cell in names]
    rows = [(turns, Case(turns.cell, turns.units, kind)) for turns in chosen for kind in kinds(turns.cell)]
    return sorted(rows, key=lambda row: (names.index(row[1].cell), len(row[1].parts), row[1].units))


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _label(case: Case) -> str:
    return f"{case.cell} ({', '.join(case.parts)}), {case.units}"


def _share(case: Case, microseconds: list[float], peak: Peak) -> str:
    rate = case.operations / (Spread.of(microseconds).median * 1e-6)
    return f"{rate / peak.best:.0%}"
