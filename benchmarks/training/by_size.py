"""Networks per second against networks side by side P, units N and steps T."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.shared.tables import DASH, Table, number, times
from benchmarks.shared.timing import Spread
from benchmarks.training.by_cell import OfCell
from benchmarks.training.measure import Pack, measure
from benchmarks.training.shapes import Shape

CELLS = ("lstm", "lem")  # torch's fastest layer, and the loop with the most work in a step
UNITS = (16, 32, 64, 128, 256)
STEPS = (7, 14, 28, 56, 112)


@dataclass(frozen=True)
class Curve:
    """Networks times mini-batches per second of a cell at several values of what grows, with the ratios to the best
    one-by-one way where they were measured."""

    cell: str
    who: str  # "ours" or "one by one"
    values: tuple[int, ...]
    rates: tuple[float, ...]
    gains: tuple[Spread, ...] = ()


def against(name: str, values: Sequence[int], cell: str, pack: Pack, budget: float, least: int) -> list[Curve]:
    """A cell trained in packs like this at each value of `name` ("units" or "steps"), one thread."""
    points = [
        measure(Shape(cell).with_(**{name: value}), 1, [pack], ensembles=False, budget=budget, least=least)
        for value in values
    ]
    ours = tuple(_rate(point.packs[pack]) for point in points)
    alone = tuple(_rate(point.best_alone) for point in points)
    return [
        Curve(cell, "ours", tuple(values), ours, tuple(point.gain() for point in points)),
        Curve(cell, "one by one", tuple(values), alone),
    ]


def against_networks(of_cells: Iterable[OfCell]) -> list[Curve]:
    """Of what the tables show, the best way at each number of networks; the one-by-one way as a level."""
    curves = []
    for of_cell in of_cells:
        groups = [group for group in (of_cell.small, of_cell.large) if group is not None]
        best: dict[int, tuple[float, Spread]] = {}
        for group in groups:
            for pack, milliseconds in group.packs.items():
                rate = _rate(milliseconds)
                if rate > best.get(pack.networks, (0.0,))[0]:
                    best[pack.networks] = (rate, group.gain(pack))
        values = tuple(sorted(best))
        rates, gains = zip(*(best[value] for value in values), strict=True)
        curves.append(Curve(of_cell.cell, "ours", values, rates, gains))
        curves.append(Curve(of_cell.cell, "one by one", values, (1e3 / of_cell.alone,) * len(values)))
    return curves


def growth_table(symbol: str, what: str, curves: Sequence[Curve]) -> Table:
    values = sorted({value for curve in curves for value in curve.values})
    table = Table(
        f"Against {symbol}: {what}",
        "Networks times mini-batches per second, one thread, in the way and the number of networks that were fastest "
        "in packs of up to 16, unless P is what grows, and how many times that is the best one-by-one way. "
        "![Networks per second](training-speed.svg)",
        ("cell", *(f"{symbol} = {value}" for value in values)),
    )
    for curve in curves:
        if curve.who == "ours":
            by_value = dict(zip(curve.values, zip(curve.rates, curve.gains, strict=True), strict=True))
            fields = (
                f"{number(by_value[value][0])}, {times(by_value[value][1])}" if value in by_value else DASH
                for value in values
            )
            table.rows.append((curve.cell, *fields))
    return table


def _rate(milliseconds: Sequence[float]) -> float:
    return 1e3 / Spread.of(milliseconds).median
