"""Spectra of networks that ended well and badly, a panel for each cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aelle_core.report.data import ReportData
from aelle_core.report.inline.axes import Axis, path

WIDTH, HEIGHT = 200, 170
MOST_INDICES = 64
"""Of longer spectra an even choice of these many exponents is drawn."""


@dataclass(frozen=True)
class Side:
    """The networks of a cell that ended well, or badly: how many, their median spectrum and its quartiles."""

    good: bool
    count: int
    median: str
    quartiles: str


@dataclass(frozen=True)
class Panel:
    """A cell's spectra; `share` of its networks ended well."""

    cell: str
    share: float
    sides: Sequence[Side]


@dataclass(frozen=True)
class SpectraPicture:
    """What the template draws; `zero` is the place of the exponent zero."""

    panels: Sequence[Panel]
    x: Axis
    y: Axis
    zero: float
    width: int = WIDTH
    height: int = HEIGHT


def spectra_picture(data: ReportData, floor: float) -> SpectraPicture:
    """Return the final spectra by cell, those below `floor` (nats per step) drawn at it."""
    spectra = np.maximum(data.final.spectra, floor)
    indices = np.unique(np.linspace(0, spectra.shape[1] - 1, min(spectra.shape[1], MOST_INDICES)).astype(int))
    quartiles = {
        (cell, good): np.quantile(spectra[chosen][:, indices], [0.25, 0.5, 0.75], axis=0)
        for cell in data.good_fraction_by_cell
        for good in (False, True)
        if (chosen := (data.final.cells == cell) & (data.good == good)).any()
    }
    every = np.concatenate([each.ravel() for each in quartiles.values()])
    low, high = min(float(every.min()), 0.0), max(float(every.max()), 0.0)
    room = 0.05 * (high - low) or 0.5
    x = Axis(1, max(spectra.shape[1], 2), 34, WIDTH - 6)
    y = Axis(low - room, high + room, HEIGHT - 24, 8, "symlog" if max(-low, high) > 1 else "linear")
    panels = [
        Panel(cell, share, [
            _side(quartiles[cell, good], indices, good, int(((data.final.cells == cell) & (data.good == good)).sum()), x, y)
            for good in (False, True)
            if (cell, good) in quartiles
        ])
        for cell, share in data.good_fraction_by_cell.items()
    ]  # fmt: skip
    return SpectraPicture(panels, x, y, y.place(0))


def _side(quartiles: np.ndarray, indices: np.ndarray, good: bool, count: int, x: Axis, y: Axis) -> Side:
    lower, median, upper = (
        [(x.place(index + 1), y.place(value)) for index, value in zip(indices.tolist(), each, strict=True)]
        for each in quartiles.tolist()
    )
    return Side(good, count, path(median), path([*upper, *reversed(lower)]) + "Z")
