"""Final losses by cell."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import BAD, GOOD, new_figure


@figures.register("7_losses_by_cell")
class Losses(ReportFigure):
    """A strip for each cell, with the threshold and each cell's share below it."""

    title = "Final losses by cell"
    caption = (
        "Every network's final validation loss; the line is the threshold, the percentage each cell's share below it."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(width=8.4, height=4.2)
        jitter = np.random.default_rng(0)
        for number, (cell, share) in enumerate(data.good_fraction_by_cell.items()):
            chosen = data.final.cells == cell
            losses = data.final.final_loss[chosen]
            colours = np.where(losses < data.threshold, GOOD, BAD)
            axes.scatter(
                number + jitter.uniform(-0.25, 0.25, len(losses)), losses, c=colours, s=14, alpha=0.8, linewidths=0
            )
            axes.text(number, 1.02, f"{share:.0%}", ha="center", transform=axes.get_xaxis_transform(), fontsize=9)
        line = axes.axhline(data.threshold, color="black", linewidth=1, label="threshold")
        handles = [
            Line2D([], [], color=GOOD, marker="o", linestyle="", label="ended below"),
            Line2D([], [], color=BAD, marker="o", linestyle="", label="ended above"),
            line,
            Line2D([], [], linestyle="", label="%: share of the cell's networks below"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False)
        cells = list(data.good_fraction_by_cell)
        axes.set(yscale="log", ylabel=data.outcome_name, xticks=range(len(cells)))
        plain_numbers(axes.yaxis)
        axes.set_xticklabels(cells, rotation=30, ha="right")
        return figure
