"""Four statistics of the spectrum while networks are trained."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aelle_core.evaluation import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import BAD, GOOD, blank

_SHOWN = ("LE mean", "LE max", "LE PC1", "AeLLE PC1")
_STAGES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1)


def _boxes(axes: Axes, values: list[np.ndarray], positions: np.ndarray, colour: str) -> None:
    parts = axes.boxplot(
        values, positions=positions, widths=0.32, patch_artist=True, showfliers=False, manage_ticks=False
    )
    for box in parts["boxes"]:
        box.set(facecolor=colour, edgecolor=colour, alpha=0.6)
    for line in [*parts["whiskers"], *parts["caps"]]:
        line.set(color=colour)
    for line in parts["medians"]:
        line.set(color="white", linewidth=1.5)


@figures.register("6_statistics_through_training")
class StatisticsThroughTraining(ReportFigure):
    """A panel for each statistic: boxes of good and bad networks side by side, with the boundary."""

    title = "Four statistics through training"
    caption = (
        "The mean and the largest exponent, the first principal component of the exponents, and the first AeLLE "
        "component, at stages of training: networks that will end well in blue, badly in orange (boxes: quartiles; "
        "whiskers: 1.5 times their distance). The black line is the cut with the best F1 among the networks that are "
        "not for testing, learned anew at each epoch."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure = blank(9.0, 5.6)
        stages = data.stages(*_STAGES)
        positions = np.arange(len(stages), dtype=float)
        for axes, name in zip(figure.subplots(2, 2).flat, _SHOWN, strict=True):
            good_values, bad_values = [], []
            for x, epoch in zip(positions, stages, strict=True):
                examples = data.examples_by_epoch[epoch]
                known = examples.of(data.known)
                classifier = classifiers[name](data.aelle, 0)
                assert isinstance(classifier, ScalarClassifier)
                classifier.fit(known, known, data.threshold)
                values, good = classifier.feature(examples), examples.final_loss < data.threshold
                good_values.append(values[good])
                bad_values.append(values[~good])
                if np.isfinite(classifier.boundary):
                    axes.hlines(classifier.boundary, x - 0.42, x + 0.42, color="black", linewidth=1.8, zorder=3)
            _boxes(axes, good_values, positions - 0.19, GOOD)
            _boxes(axes, bad_values, positions + 0.19, BAD)
            axes.set_title(name, fontsize=10)
            axes.set_xticks(positions, list(map(str, stages)))
            axes.spines[["top", "right"]].set_visible(False)
            unit = f" ({data.exponent_unit})" if name in ("LE mean", "LE max") else ""
            axes.set(xlabel="epoch", ylabel=f"value{unit}")
        handles = [
            Patch(color=GOOD, alpha=0.6, label="ended well"),
            Patch(color=BAD, alpha=0.6, label="ended badly"),
            Line2D([], [], color="black", linewidth=1.8, label="cut with the best F1"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
        return figure
