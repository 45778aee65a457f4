"""Spectra by cell."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from aelle_core.evaluation.classifiers.scalar import FLOOR
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import symmetric_logarithm
from aelle_core.report.palette import BAD, GOOD, blank

_OUTLINE = [withStroke(linewidth=3.5, foreground="white")]


@figures.register("1_spectra_by_cell")
class Spectra(ReportFigure):
    """Small multiples: one panel for each cell, all networks' final spectra."""

    title = "Spectra by cell"
    caption = (
        "Each thin line is one network's Lyapunov spectrum after the last epoch, blue where the network ended below "
        "the threshold, orange where above; the thick lines are the medians of both. Above zero nearby states "
        "separate, below they merge. Exponents below the floor, dead directions among them, are drawn at it."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        final, good = data.final, data.good
        cells = list(data.good_fraction_by_cell)
        columns = min(5, len(cells))
        rows = -(-len(cells) // columns)
        width, height = (1.95, 2.0) if columns > 2 else (3.4, 3.4)
        figure = blank(width * columns + 0.6, height * rows + 0.4)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        spectra = np.maximum(final.spectra, FLOOR)
        index = np.arange(1, spectra.shape[1] + 1)
        for cell, panel in zip(cells, panels, strict=False):  # cells first: panels that are left over are hidden
            panel.axhline(0, color="0.7", linewidth=0.8)
            for side, colour in ((False, BAD), (True, GOOD)):
                chosen = spectra[(final.cells == cell) & (good == side)]
                if len(chosen):
                    panel.plot(index, chosen.T, color=colour, alpha=0.3, linewidth=0.6, rasterized=True)
                    panel.plot(index, np.median(chosen, axis=0), color=colour, linewidth=2, path_effects=_OUTLINE)
            panel.set_title(cell, fontsize=10)
            if np.abs(spectra).max() > 1:
                symmetric_logarithm(panel)
            panel.spines[["top", "right"]].set_visible(False)
        for panel in list(panels):
            panel.set_visible(False)
        handles = [
            Line2D([], [], color=GOOD, linewidth=2, label="ended below the threshold"),
            Line2D([], [], color=BAD, linewidth=2, label="ended above"),
            Line2D([], [], color="0.4", linewidth=0.6, label="one network (thick: the median)"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3 if columns > 3 else 1, frameon=False)
        figure.supxlabel("index of the exponent", fontsize=10)
        figure.supylabel(f"exponent ({data.exponent_unit})", fontsize=10)
        return figure
