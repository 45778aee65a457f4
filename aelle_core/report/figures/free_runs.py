"""Networks on their own output beside the data."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aelle_core.report.data import ReportData, ShownRuns
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import BAD, GOOD, NEUTRAL, blank

_SHOWN = 200
"""Steps of the series that are drawn; the portraits have all of them."""


@figures.register("0_free_runs")
class FreeRuns(ReportFigure):
    """A row each for the data, a good and a bad network: phase portrait, and the first feature in time."""

    title = "Free runs beside the data"
    caption = (
        "Each network read the same held-out series and then ran on its own output. Left: the first feature against "
        "the last (one feature: against itself five steps before), all steps. Right: the first feature of the first "
        "200 steps, the data in grey. The networks are those a quarter from the best and from the worst."
    )

    @staticmethod
    def absent(data: ReportData) -> str | None:
        return data.without_free_runs or (data.free_runs if isinstance(data.free_runs, str) else None)

    @staticmethod
    def draw(data: ReportData) -> Figure:
        assert isinstance(data.free_runs, ShownRuns)
        runs = data.free_runs
        rows = [
            ("data", runs.data, NEUTRAL),
            (f"good: {runs.good.network} ({runs.good.outcome:.3g})", runs.good.outputs, GOOD),
            (f"bad: {runs.bad.network} ({runs.bad.outcome:.3g})", runs.bad.outputs, BAD),
        ]
        figure = blank(8.4, 7.0)
        panels = figure.subplots(3, 2, width_ratios=[1, 2], sharex="col")
        for (label, series, colour), (portrait, course) in zip(rows, panels, strict=True):
            across, up = _portrait(series)
            portrait.plot(across, up, color=colour, linewidth=0.6)
            if colour != NEUTRAL:
                course.plot(runs.data[:_SHOWN, 0], color="0.7", linewidth=1.6)
            course.plot(series[:_SHOWN, 0], color=colour, linewidth=1.2)
            course.set_title(label, fontsize=10, loc="left")
            _as_the_data(portrait, *_portrait(runs.data))
            _as_the_data(course, np.array([0.0, min(_SHOWN, len(runs.data))]), runs.data[:, 0])
            for axes in (portrait, course):
                axes.spines[["top", "right"]].set_visible(False)
        panels[-1, 0].set_xlabel("feature 1")
        panels[1, 0].set_ylabel(f"feature {runs.data.shape[1]}" if runs.data.shape[1] > 1 else "five steps before")
        panels[1, 1].set_ylabel("feature 1")
        panels[-1, 1].set_xlabel("steps on its own output")
        return figure


def _portrait(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last feature, or a single one and itself five steps before."""
    return (series[:, 0], series[:, -1]) if series.shape[1] > 1 else (series[5:, 0], series[:-5, 0])


def _as_the_data(axes: Axes, across: np.ndarray, up: np.ndarray) -> None:
    """Give all rows the axes that the data need, and a third more, so that runs that leave them do not hide them."""
    for values, limit in ((across, axes.set_xlim), (up, axes.set_ylim)):
        margin = (values.max() - values.min()) / 3 if values is not across or across.min() < 0 else 0.0
        limit(values.min() - margin, values.max() + margin)
