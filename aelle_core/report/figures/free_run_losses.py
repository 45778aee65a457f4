"""What the loss says of free runs."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aelle_core.evaluation.metrics import rank_correlation_within_cells
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import FreeRunFigure, figures
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import cell_styles, new_figure


@figures.register("5_loss_against_free_runs")
class LossAgainstFreeRuns(FreeRunFigure):
    """The loss that training went by, and the study's goal, network by network."""

    title = "The loss against the free runs"
    caption = (
        "Every network's final validation loss, which training went by, against the study's goal, measured on its own "
        "output; less is better in both. If the loss told which networks keep behaving, the points would lie along a "
        "rising line within each cell; the heading has the rank correlation within cells."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(height=4.8)
        final = data.final
        known = np.isfinite(final.loss) & (final.loss > 0) & (final.final_loss > 0)
        styles = cell_styles(list(data.good_fraction_by_cell))
        for cell, (colour, mark) in styles.items():
            chosen = known & (final.cells == cell)
            axes.scatter(
                final.loss[chosen], final.final_loss[chosen], color=colour, marker=mark, s=26, alpha=0.8, linewidths=0
            )
        axes.axhline(data.threshold, color="0.5", linestyle="--", linewidth=1)
        handles = [
            Line2D([], [], color=colour, marker=mark, linestyle="", label=cell)
            for cell, (colour, mark) in styles.items()
        ]
        handles.append(Line2D([], [], color="0.5", linestyle="--", linewidth=1, label="threshold"))
        figure.legend(handles=handles, loc="outside upper left", ncols=6, frameon=False)
        correlation = rank_correlation_within_cells(-final.loss[known], final.final_loss[known], final.cells[known])
        axes.set_title(f"rank correlation within cells {correlation:.2f}", fontsize=10, loc="left")
        axes.set(xscale="log", yscale="log", xlabel="final validation loss", ylabel=data.outcome_name)
        for axis in (axes.xaxis, axes.yaxis):
            plain_numbers(axis)
        return figure
