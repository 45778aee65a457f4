"""The AeLLE plane."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import cell_styles, new_figure


def plane_of(data: ReportData, spectra: np.ndarray) -> np.ndarray:
    """(n, 2) first AeLLE components of spectra (n, D); a second component of zeros where there is only one."""
    plane = data.aelle.transform(spectra)[:, :2]
    return plane if plane.shape[1] > 1 else np.pad(plane, ((0, 0), (0, 1)))


def _coloured(data: ReportData, values: np.ndarray, label: str, *, linear: bool = False) -> Figure:
    """PC1 and PC2 coloured by a number of each network, by its logarithm where it spans more than a factor of five,
    unless `linear`; unseen networks ringed."""
    figure, axes = new_figure()
    plane = plane_of(data, data.final.spectra)
    unseen = np.isin(data.final.networks, sorted(data.test_networks))
    rings = np.where(unseen, 0.9, 0.0)
    points = axes.scatter(
        plane[:, 0],
        plane[:, 1],
        c=values,
        norm="log" if not linear and 0 < 5 * values.min() < values.max() else "linear",
        cmap="cividis",
        s=34,
        edgecolors="black",
        linewidths=rings.tolist(),
    )
    bar = figure.colorbar(points, label=label)
    if isinstance(points.norm, LogNorm):
        plain_numbers(bar.ax.yaxis)
    median = axes.axvline(data.aelle.median_, color="0.4", linestyle="--", linewidth=1, label="median of component 1")
    ringed = Line2D([], [], marker="o", linestyle="", color="0.8", markeredgecolor="black", label="not seen in the fit")
    handles = [ringed, median] if unseen.any() else [median]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
    axes.set(xlabel="AeLLE component 1 (predicted loss rises to the right)", ylabel="AeLLE component 2")
    return figure


@figures.register("2_plane_by_accuracy")
class PlaneByAccuracy(ReportFigure):
    """Coloured by final accuracy; by final loss where the task has no accuracy."""

    title = "The AeLLE plane by accuracy"
    caption = (
        "The first two principal components of the autoencoder's latent code after the last epoch, coloured by final "
        "validation accuracy, or loss where the task has no accuracy. The first component was turned to rise with the "
        "predicted loss. Ringed networks were not seen by the autoencoder."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        if np.isnan(data.final.accuracy).all():
            return _coloured(data, data.final.final_loss, data.outcome_name)
        return _coloured(data, data.final.accuracy, "final validation accuracy", linear=True)


@figures.register("3_plane_by_scale")
class PlaneByScale(ReportFigure):
    """Coloured by the scale of the initial weights."""

    title = "The AeLLE plane by initial scale"
    caption = "The same plane by the scale of the initial weights (of rank1, the gain g)."

    @staticmethod
    def draw(data: ReportData) -> Figure:
        return _coloured(data, data.final.hyperparameters["scale"], "scale of the initial weights")


@figures.register("3_plane_by_size")
class PlaneBySize(ReportFigure):
    """Coloured by the number of hidden units."""

    title = "The AeLLE plane by size"
    caption = "The same plane by the number of hidden units."

    @staticmethod
    def absent(data: ReportData) -> str | None:
        return "All networks have the same size." if len(set(data.final.units.tolist())) == 1 else None

    @staticmethod
    def draw(data: ReportData) -> Figure:
        return _coloured(data, data.final.units, "hidden units")


@figures.register("3_plane_by_cell")
class PlaneByCell(ReportFigure):
    """PC1 and PC2 by cell: colour and mark."""

    title = "The AeLLE plane by cell"
    caption = (
        "The same plane by cell. Where cells lie apart, the plane tells cells; where they mix along the first "
        "component, it tells outcomes."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        figure, axes = new_figure()
        plane = plane_of(data, data.final.spectra)
        for cell, (colour, mark) in cell_styles(list(data.good_fraction_by_cell)).items():
            chosen = data.final.cells == cell
            axes.scatter(
                plane[chosen, 0], plane[chosen, 1], color=colour, marker=mark, s=30, alpha=0.8, linewidths=0, label=cell
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes.set(xlabel="AeLLE component 1 (predicted loss rises to the right)", ylabel="AeLLE component 2")
        return figure
