"""Final losses by the scale of the initial weights."""

from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import cell_styles, new_figure


@figures.register("8_losses_by_scale")
class LossesByScale(ReportFigure):
    """A mark for each network, in its cell's colour, with the threshold."""

    title = "Final losses by initial scale"
    caption = (
        "Every network's final validation loss against the scale of its initial weights (of rank1, the gain g), by "
        "cell; the line is the threshold."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(height=4.2)
        final, scales = data.final, data.final.hyperparameters["scale"]
        for cell, (colour, mark) in cell_styles(list(data.good_fraction_by_cell)).items():
            chosen = final.cells == cell
            axes.scatter(
                scales[chosen],
                final.final_loss[chosen],
                color=colour,
                marker=mark,
                s=20,
                alpha=0.8,
                linewidths=0,
                label=cell,
            )
        axes.axhline(data.threshold, color="black", linewidth=1, label="threshold")
        if scales.max() > 5 * scales.min():
            axes.set(xscale="log")
        axes.set(yscale="log", xlabel="scale of the initial weights", ylabel=data.outcome_name)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                plain_numbers(axis)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        return figure
