"""The AeLLE plane, each point with its network's name, settings and losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aelle_core.report.data import ReportData
from aelle_core.report.figures.plane import plane_of
from aelle_core.report.inline.axes import Axis
from aelle_core.report.networks import NetworkRow

WIDTH, HEIGHT = 480, 400
MOST_POINTS = 2500
"""More networks than these are drawn as an even choice of them, so that the page stays small."""


_PLACES = [(8, -6), (-19, -6), (8, 14), (-19, 14), (8, -20), (-19, -20), (8, 28), (-19, 28), (22, 4), (-33, 4)]
"""Where a letter may stand beside its point; the first that is free is taken."""
_LETTER = 12
"""How far letters, and letters and marked points, are apart."""


@dataclass(frozen=True)
class Point:
    """A network in the plane; `mark` is the letter of a network to look at, or empty, and `letter_x`, `letter_y` say
    where it stands."""

    row: NetworkRow
    x: float
    y: float
    mark: str
    letter_x: float = 0.0
    letter_y: float = 0.0


@dataclass(frozen=True)
class PlanePicture:
    """What the plane's template draws; `cut` is the place of the median of the first component."""

    points: Sequence[Point]
    x: Axis
    y: Axis
    cut: float
    left_out: int
    width: int = WIDTH
    height: int = HEIGHT


def plane_picture(data: ReportData, rows: Sequence[NetworkRow], marks: dict[int, str]) -> PlanePicture:
    """Return the plane of the final networks: those not seen in the fit over the others, marked ones over all.

    `marks` are letters of networks by their numbers; these are never left out.
    """
    plane = plane_of(data, data.final.spectra)
    x = Axis.around(_within(plane[:, 0]), 54, WIDTH - 10)
    y = Axis.around(_within(plane[:, 1]), HEIGHT - 44, 10)
    chosen = set(np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).astype(int).tolist()) | set(marks)
    points = [
        Point(row, x.position(plane[row.number, 0]), y.position(plane[row.number, 1]), marks.get(row.number, ""))
        for row in rows
        if row.number in chosen
    ]
    points = _lettered(points)
    points.sort(key=lambda point: (bool(point.mark), not point.row.seen))
    return PlanePicture(points, x, y, x.position(data.aelle.median_), len(rows) - len(points))


def _lettered(points: Sequence[Point]) -> list[Point]:
    """Return the points with their letters where they cover neither each other nor a marked point, as far as there is
    room."""
    # Of a marked point the place that a letter on it would have.
    taken = [(point.x - 4, point.y + 5) for point in points if point.mark]
    placed = []
    for point in points:
        if point.mark:
            free = ((point.x + right, point.y + down) for right, down in _PLACES)
            x, y = next((place for place in free if _is_free(place, taken)), (point.x + 8, point.y - 6))
            taken.append((x, y))
            point = replace(point, letter_x=round(x, 1), letter_y=round(y, 1))
        placed.append(point)
    return placed


def _is_free(place: tuple[float, float], taken: Sequence[tuple[float, float]]) -> bool:
    inside = 0 < place[0] < WIDTH - _LETTER and _LETTER < place[1] < HEIGHT
    return inside and all(max(abs(place[0] - x), abs(place[1] - y)) >= _LETTER for x, y in taken)


def _within(values: np.ndarray) -> np.ndarray:
    """Return the values without those that are further from the quartiles than three times their distance: a few
    networks far away would press all others together. They are drawn at the edge."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low)
    return values[(values >= low - reach) & (values <= high + reach)]
