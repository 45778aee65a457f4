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
    """One cell's spectra with their axis; `share` of its networks ended well; `zero` is where the exponent 0 is."""

    cell: str
    share: float
    sides: Sequence[Side]
    y: Axis
    zero: float


@dataclass(frozen=True)
class SpectraPicture:
    """What the template draws."""

    panels: Sequence[Panel]
    x: Axis
    width: int = WIDTH
    height: int = HEIGHT


def spectra_picture(data: ReportData, floor: float) -> SpectraPicture:
    """Return the final spectra by cell, those below `floor` (nats per step) drawn at it. Every cell has its own scale:
    exponents of some lie within a tenth of zero, of others far below."""
    spectra = np.maximum(data.final.spectra, floor)
    indices = np.unique(np.linspace(0, spectra.shape[1] - 1, min(spectra.shape[1], MOST_INDICES)).astype(int))
    x = Axis(1, max(spectra.shape[1], 2), 42, WIDTH - 6)
    panels = []
    for cell, share in data.good_fraction_by_cell.items():
        chosen = {good: (data.final.cells == cell) & (data.good == good) for good in (False, True)}
        quartiles = {
            good: np.quantile(spectra[mask][:, indices], [0.25, 0.5, 0.75], axis=0)
            for good, mask in chosen.items()
            if mask.any()
        }
        if quartiles:
            y = _axis(np.concatenate([side.ravel() for side in quartiles.values()]))
            sides = [_side(quartiles[good], indices, good, int(chosen[good].sum()), x, y) for good in quartiles]
            panels.append(Panel(cell, share, sides, y, y.position(0)))
    return SpectraPicture(panels, x)


def _axis(exponents: np.ndarray) -> Axis:
    """Return an axis that holds the exponents and zero; logarithmic where some are far below it."""
    low, high = min(float(exponents.min()), 0.0), max(float(exponents.max()), 0.0)
    room = 0.06 * (high - low) or 0.5
    return Axis(low - room, high + room, HEIGHT - 24, 8, "symlog" if max(-low, high) > 3 else "linear")


def _side(quartiles: np.ndarray, indices: np.ndarray, good: bool, count: int, x: Axis, y: Axis) -> Side:
    lower, median, upper = (
        [(x.position(index + 1), y.position(value)) for index, value in zip(indices.tolist(), line, strict=True)]
        for line in quartiles.tolist()
    )
    return Side(good, count, path(median), path([*upper, *reversed(lower)]) + "Z")
