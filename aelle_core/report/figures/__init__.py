"""One file for each figure: a function from ReportData to a matplotlib Figure, with the caption it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.figures.early import draw_early
from aelle_core.report.figures.histograms import draw_histograms
from aelle_core.report.figures.losses import draw_losses
from aelle_core.report.figures.plane import draw_plane_by_accuracy, draw_plane_by_cell, draw_plane_by_scale
from aelle_core.report.figures.predicted import draw_predicted
from aelle_core.report.figures.scales import draw_losses_by_scale
from aelle_core.report.figures.spectra import draw_spectra


@dataclass(frozen=True)
class ReportFigure:
    """A figure's file name, title, caption, and how it is drawn."""

    name: str
    title: str
    caption: str
    draw: Callable[[ReportData], Figure]


FIGURES = (
    ReportFigure(
        "1_spectra_by_cell",
        "Spectra by cell",
        "Each thin line is one network's Lyapunov spectrum after the last epoch, blue where the network ended below "
        "the threshold, orange where above; the thick lines are the medians of both. Above zero nearby states "
        "separate, below they merge. Exponents below the floor, dead directions among them, are drawn at it.",
        draw_spectra,
    ),
    ReportFigure(
        "2_plane_by_accuracy",
        "The AeLLE plane by accuracy",
        "The first two principal components of the autoencoder's latent code after the last epoch, coloured by final "
        "validation accuracy, or loss where the task has no accuracy. The first component was turned to rise with the "
        "predicted loss. Ringed networks were not seen by the autoencoder.",
        draw_plane_by_accuracy,
    ),
    ReportFigure(
        "3_plane_by_cell",
        "The AeLLE plane by cell",
        "The same plane by cell. Where cells lie apart, the plane tells cells; where they mix along the first "
        "component, it tells outcomes.",
        draw_plane_by_cell,
    ),
    ReportFigure(
        "3_plane_by_scale",
        "The AeLLE plane by initial scale",
        "The same plane by the scale of the initial weights (of rank1, the gain g).",
        draw_plane_by_scale,
    ),
    ReportFigure(
        "4_histograms",
        "Along the first component",
        "Networks that ended well and badly, stacked, along the first AeLLE component; the dashed line is the median "
        "that the paper's classifier cuts at.",
        draw_histograms,
    ),
    ReportFigure(
        "5_predicted_loss",
        "Loss against predicted loss",
        "Final validation loss against the loss that the autoencoder's linear predictor expects from the final "
        "spectrum. Filled networks were not seen in the fit.",
        draw_predicted,
    ),
    ReportFigure(
        "6_early_prediction",
        "How early it can be told",
        "F1 of telling the final outcome from each epoch's spectra, with 95 % intervals over splits; baselines that "
        "know no dynamics are dashed. At the last epoch the current loss is the outcome itself.",
        draw_early,
    ),
    ReportFigure(
        "7_losses_by_cell",
        "Final losses by cell",
        "Every network's final validation loss; the line is the threshold, the percentage each cell's share below it.",
        draw_losses,
    ),
    ReportFigure(
        "8_losses_by_scale",
        "Final losses by initial scale",
        "Every network's final validation loss against the scale of its initial weights (of rank1, the gain g), by "
        "cell; the line is the threshold.",
        draw_losses_by_scale,
    ),
)

__all__ = ["FIGURES", "ReportFigure"]
