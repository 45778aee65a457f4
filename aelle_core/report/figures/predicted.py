"""Final loss against the loss predicted from the spectrum."""

import numpy as np
from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import BAD, NEUTRAL, new_figure


@figures.register("5_predicted_loss")
class Predicted(ReportFigure):
    """Seen networks open, unseen ones filled, with the diagonal."""

    title = "Loss against predicted loss"
    caption = (
        "Final validation loss against the loss that the autoencoder's linear predictor expects from the final "
        "spectrum. Filled networks were not seen in the fit."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure(height=4.8)
        final = data.final
        predicted = data.aelle.predict(final.spectra)
        unseen = np.isin(final.networks, sorted(data.test_networks))
        known = ~unseen
        axes.scatter(
            predicted[known], final.final_loss[known], facecolors="none", edgecolors=NEUTRAL, s=20, label="seen"
        )
        axes.scatter(
            predicted[unseen], final.final_loss[unseen], color=BAD, s=24, linewidths=0, label="not seen in the fit"
        )
        low, high = np.quantile(np.concatenate([predicted, final.final_loss]), [0.0, 0.99])
        axes.axline((low, low), (high, high), color="black", linewidth=0.8, label="as predicted")
        if data.aelle.target == "log":
            axes.set(xscale="log", yscale="log")
            plain_numbers(axes.xaxis)
            plain_numbers(axes.yaxis)
        axes.axhline(data.threshold, color="0.5", linestyle="--", linewidth=1, label="threshold")
        margin = 0.06 * (high - low)
        limits = (max(low - margin, 0.95 * low), high + margin)  # what is positive stays so, for the logarithm
        axes.set(xlim=limits, ylim=limits)
        axes.set(xlabel=f"{data.loss_name} predicted from the final spectrum", ylabel=data.outcome_name)
        figure.legend(loc="outside upper left", ncols=4, frameon=False)
        return figure
