"""Spectra, the plane and the losses of each group of networks, side by side."""

import numpy as np
from matplotlib.figure import Figure

from aelle_core.evaluation.classifiers.scalar import FLOOR
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.plane import plane_of
from aelle_core.report.figures.scaling import plain_numbers, symmetric_logarithm
from aelle_core.report.palette import blank, cell_styles


@figures.register("7_spectra_plane_losses")
class SpectraPlaneLosses(ReportFigure):
    """Three panels in the same colours: median spectra, the plane, losses."""

    title = "Spectra, plane and losses side by side"
    caption = (
        "Left: the median final spectrum of each cell, or of each size where there is one cell, with the quartiles; "
        "middle: the AeLLE plane in the same colours; right: the final losses with the threshold."
    )

    @staticmethod
    def absent(data: ReportData) -> str | None:
        return "All networks have the same cell and size." if data.groups is None else None

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure = blank(10.0, 4.0)
        curves, plane_axes, losses = figure.subplots(1, 3)
        label, names = data.groups or ("", np.array([]))
        spectra = np.maximum(data.final.spectra, FLOOR)
        plane, index = plane_of(data, data.final.spectra), np.arange(1, spectra.shape[1] + 1)
        jitter = np.random.default_rng(0)
        groups = list(dict.fromkeys(names.tolist()))
        for number, (group, (colour, mark)) in enumerate(cell_styles(groups).items()):
            chosen = names == group
            low, middle, high = np.quantile(spectra[chosen], [0.25, 0.5, 0.75], axis=0)
            curves.plot(index, middle, color=colour, marker=mark, markersize=4, markevery=max(len(index) // 8, 1))
            curves.fill_between(index, low, high, color=colour, alpha=0.12, linewidth=0)
            style = {"color": colour, "marker": mark, "s": 16, "alpha": 0.75, "linewidths": 0}
            plane_axes.scatter(*plane[chosen].T, label=group, **style)
            spread = number + jitter.uniform(-0.25, 0.25, chosen.sum())
            losses.scatter(spread, data.final.final_loss[chosen], **style)
        losses.axhline(data.threshold, color="black", linewidth=1)
        losses.set(yscale="log", ylabel=data.outcome_name)
        plain_numbers(losses.yaxis)
        losses.set_xticks(range(len(groups)), groups, rotation=45, ha="right")
        curves.axhline(0, color="0.7", linewidth=0.8)
        curves.set(xlabel="index of the exponent", ylabel=f"exponent ({data.exponent_unit})")
        if np.abs(spectra).max() > 1:
            symmetric_logarithm(curves)
        plane_axes.set(xlabel="AeLLE component 1", ylabel="AeLLE component 2")
        curves.set_title("median spectra with quartiles", fontsize=10)
        plane_axes.set_title("AeLLE plane", fontsize=10)
        losses.set_title(f"final losses; line: threshold, {data.threshold:.2f}", fontsize=10)
        for axes in (curves, plane_axes, losses):
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(
            loc="outside right center",
            frameon=False,
            markerscale=1.6,
            title="hidden units" if label == "size" else None,
        )
        return figure
