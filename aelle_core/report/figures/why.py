"""Why the predictor expects what it expects: the exponents and latent dimensions that carry the prediction."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aelle_core.aelle import Explanation
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import symmetric_logarithm
from aelle_core.report.palette import BAD, GOOD, blank

_LATENT = 3
_LEAST = 0.01  # of the prediction: a dimension that carries less is not drawn
_COLOURS = ("#332288", "#117733", "#aa4499")


@figures.register("5_why")
class Why(ReportFigure):
    """What each exponent adds to the prediction of good and of bad networks, and the leading latent dimensions."""

    title = "What good networks do that bad ones do not"
    caption = (
        "Left: what each exponent of the final spectrum adds to the predicted loss, compared with the mean over all "
        "networks (integrated gradients; mean and quartiles of those that ended below and above the threshold; each "
        "curve sums to what the predictions differ by). Right: how the exponents change along the latent dimensions "
        "that carry most of the prediction, by one standard deviation, each turned so that the predicted loss rises."
    )

    @staticmethod
    def absent(data: ReportData) -> str | None:
        return "All networks ended on one side of the threshold." if len(set(data.good.tolist())) == 1 else None

    @staticmethod
    def draw(data: ReportData) -> Figure:
        explanation = data.aelle.explain(data.final.spectra)
        figure = blank(9.0, 3.9)
        attributed, latent = figure.subplots(1, 2)
        _draw_attributions(attributed, explanation, data.good)
        _draw_latent(latent, explanation, data.exponent_unit)
        for axes in (attributed, latent):
            axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
            axes.set_xlabel("index of the exponent")
            axes.spines[["top", "right"]].set_visible(False)
        return figure


def _draw_attributions(axes: Axes, explanation: Explanation, good: np.ndarray) -> None:
    index = np.arange(1, explanation.attributions.shape[1] + 1)
    for side, colour, label in ((True, GOOD, "ended below the threshold"), (False, BAD, "ended above")):
        rows = (explanation.attributions - explanation.attributions.mean(axis=0))[good == side]
        low, high = np.quantile(rows, [0.25, 0.75], axis=0)
        axes.plot(index, rows.mean(axis=0), color=colour, linewidth=2, label=f"{label} (sum {rows.sum(1).mean():+.2f})")
        axes.fill_between(index, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_ylabel("adds to the predicted loss\n(standard deviations of its target)")
    axes.legend(frameon=False, fontsize="small")


def _draw_latent(axes: Axes, explanation: Explanation, unit: str) -> None:
    curves = []
    leading = explanation.leading(_LATENT)
    carrying = [dimension for dimension in leading if abs(explanation.shares[dimension]) >= _LEAST] or leading[:1]
    for dimension, colour in zip(carrying, _COLOURS, strict=False):
        curve = explanation.decoder[dimension] * np.sign(explanation.weights[dimension])
        curves.append(curve)
        label = f"dimension {dimension + 1}: {explanation.shares[dimension]:.0%} of the prediction"
        axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, linewidth=2, label=label)
    if np.abs(curves).max() > 3:
        symmetric_logarithm(axes)
    axes.margins(y=0.18)  # room for the legend
    axes.set_ylabel(f"change of the exponent ({unit})\nas the predicted loss rises")
    axes.legend(frameon=False, fontsize="small")
