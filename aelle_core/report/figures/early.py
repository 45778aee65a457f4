"""F1 by epoch."""

from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import cell_styles, new_figure

SHOWN = (
    "AeLLE PC1", "AeLLE predictor", "linear on raw", "LE mean", "LE max",
    "current loss", "cell alone", "cell and hyperparameters",
)  # fmt: skip


@figures.register("6_early_prediction")
class Early(ReportFigure):
    """A line with its interval for each of the main classifiers."""

    title = "How early it can be told"
    caption = (
        "F1 of telling the final outcome from each epoch's spectra, with 95 % intervals over splits; baselines that "
        "know no dynamics are dashed. At the last epoch the current loss is the outcome itself."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(width=8.4)
        for name, (colour, mark) in cell_styles(list(SHOWN)).items():
            rows = sorted(
                (one for one in data.summaries if one.classifier == name and one.metric == "f1"),
                key=lambda one: one.epoch,
            )
            if not rows:
                continue
            epochs = [one.epoch for one in rows]
            style = "--" if rows[0].kind == "baseline" else "-"
            means = [one.mean for one in rows]
            axes.plot(epochs, means, color=colour, marker=mark, markersize=4, linestyle=style, label=name)
            axes.fill_between(
                epochs, [r.low for r in rows], [r.high for r in rows], color=colour, alpha=0.1, linewidth=0
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes.set(xlabel="epoch", ylabel="F1 of the final outcome", ylim=(0, 1.02))
        return figure
