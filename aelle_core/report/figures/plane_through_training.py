"""The AeLLE plane while networks are trained."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.plane import plane_of
from aelle_core.report.palette import BAD, GOOD, blank


@figures.register("5_plane_through_training")
class PlaneThroughTraining(ReportFigure):
    """A panel for each stage, on the same axes."""

    title = "The plane through training"
    caption = (
        "The AeLLE fitted to final spectra, applied at about 0, 10, 20, 50 and 100 % of training: networks that will "
        "end well in blue, badly in orange. The dashed line is the median of the final spectra."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        stages = data.stages(0, 0.1, 0.2, 0.5, 1)
        figure = blank(1.9 * len(stages) + 0.5, 3.0)
        panels = figure.subplots(1, len(stages), sharex=True, sharey=True, squeeze=False)[0]
        for axes, epoch in zip(panels, stages, strict=True):
            examples = data.examples_by_epoch[epoch]
            plane = plane_of(data, examples.spectra)
            good = examples.final_loss < data.threshold
            for side, colour, mark in ((~good, BAD, "s"), (good, GOOD, "o")):
                axes.scatter(*plane[side].T, color=colour, marker=mark, s=8, alpha=0.6, linewidths=0)
            axes.axvline(data.aelle.median_, color="0.4", linestyle="--", linewidth=1)
            axes.set_title(f"epoch {epoch} ({epoch / data.last_epoch:.0%})", fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        handles = [
            Line2D([], [], color=GOOD, marker="o", linestyle="", label="ended well"),
            Line2D([], [], color=BAD, marker="s", linestyle="", label="ended badly"),
            Line2D([], [], color="0.4", linestyle="--", linewidth=1, label="median of the final spectra"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
        figure.supxlabel("AeLLE component 1", fontsize=10)
        figure.supylabel("AeLLE component 2", fontsize=10)
        return figure
