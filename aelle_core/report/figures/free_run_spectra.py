"""Spectra of networks that keep behaving on their own output, and of those that do not."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from aelle_core.evaluation.classifiers.scalar import FLOOR
from aelle_core.foundation.counting import counted
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import FreeRunFigure, figures
from aelle_core.report.figures.scaling import symmetric_logarithm
from aelle_core.report.palette import BAD, GOOD, new_figure

_KINDS = {"closed_loop": "closed loop's", "hidden": "driven network's", "full": "driven network's"}


@figures.register("1_spectra_of_good_and_bad")
class GoodAndBadSpectra(FreeRunFigure):
    """All networks in one panel, with the exponents of the system that they are to reproduce."""

    title = "Spectra of good and of bad networks"
    caption = (
        "Each thin line is one network's spectrum after the last epoch, blue where the study calls its free runs good, "
        "orange where not; bands hold the middle half, thick lines are medians. Crosses are the system's own published "
        "exponents, where they are known. A network has more directions than its system has: what comes after those "
        "should lie below them."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(height=4.8)
        spectra = np.maximum(data.final.spectra, FLOOR)
        index = np.arange(1, spectra.shape[1] + 1)
        axes.axhline(0, color="0.7", linewidth=0.8)
        outline = [withStroke(linewidth=3.5, foreground="white")]
        for side, colour, label in ((False, BAD, "bad"), (True, GOOD, "good")):
            chosen = spectra[data.good == side]
            if not len(chosen):
                continue
            axes.plot(index, chosen.T, color=colour, alpha=0.25, linewidth=0.6, rasterized=True)
            axes.fill_between(index, *np.quantile(chosen, [0.25, 0.75], axis=0), color=colour, alpha=0.15, linewidth=0)
            axes.plot(
                index,
                np.median(chosen, axis=0),
                color=colour,
                linewidth=2,
                path_effects=outline,
                label=f"{label} ({counted(len(chosen), 'network')}): median",
            )
        shown = {rank: value for rank, value in data.system_exponents.items() if rank < len(index)}
        if shown:
            ranks = [rank + 1 for rank in shown]
            axes.plot(ranks, list(shown.values()), "kx", markersize=9, markeredgewidth=2, label="the system's own")
        if np.abs(spectra).max() > 1:
            symmetric_logarithm(axes)
        axes.set(
            xlabel="index of the exponent",
            ylabel=f"{_KINDS.get(data.study['spectra'][0], 'network')} exponent ({data.exponent_unit})",
            xticks=index if len(index) <= 30 else index[::5],
        )
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        return figure
