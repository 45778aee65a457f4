"""F1 by epoch."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aelle_core.evaluation import finalists
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import cell_styles, new_figure

ALWAYS = (
    "AeLLE PC1", "AeLLE predictor", "linear on raw", "LE mean", "LE max",
    "current loss", "cell alone", "cell and hyperparameters",
)  # fmt: skip


def named(data: ReportData) -> list[str]:
    """Return the classifiers that the verdict names: the best of each kind before training and at its end."""
    pairs = [finalists(data.summaries, epoch, data.outcome_epoch) for epoch in (0, data.last_epoch)]
    return list(dict.fromkeys(summary.classifier for pair in pairs if pair for summary in pair))


@figures.register("6_early_prediction")
class Early(ReportFigure):
    """A line for each of the main classifiers and for all that the verdict names, these with their intervals."""

    title = "How early it can be told"
    caption = (
        "F1 of telling the final outcome from each epoch's spectra; baselines that know no dynamics are dashed. Those "
        "that the verdict names have their 95 % intervals over splits. Where the outcome is "
        "the final loss, the current loss at the last epoch is the outcome itself."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(width=8.4)
        best = named(data)
        for name, (colour, mark) in cell_styles(list(dict.fromkeys((*ALWAYS, *best)))).items():
            rows = sorted(
                (summary for summary in data.summaries if summary.classifier == name and summary.metric == "f1"),
                key=lambda summary: summary.epoch,
            )
            if not rows:
                continue
            epochs = [summary.epoch for summary in rows]
            style = "--" if rows[0].kind == "baseline" else "-"
            means = [summary.mean for summary in rows]
            width = 2.2 if name in best else 1.2
            axes.plot(
                epochs, means, color=colour, marker=mark, markersize=4, linestyle=style, linewidth=width, label=name
            )
            if name in best:
                low, high = [summary.low for summary in rows], [summary.high for summary in rows]
                axes.fill_between(epochs, low, high, color=colour, alpha=0.12, linewidth=0)
        handles, _ = axes.get_legend_handles_labels()
        handles += [
            Line2D([], [], color="0.4", linestyle="--", label="dashed: baselines"),
            Patch(color="0.4", alpha=0.25, label="thick: best of its kind\nat the start or end,\nwith 95 % interval"),
        ]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes.set(xlabel="epoch", ylabel="F1 of the final outcome", ylim=(0, 1.02))
        return figure
