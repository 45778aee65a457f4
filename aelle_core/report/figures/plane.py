"""The AeLLE plane."""

import numpy as np
from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.palette import cell_styles, new_figure


def _plane(data: ReportData) -> np.ndarray:
    """(n, 2) components of the final networks; a second component of zeros where there is only one."""
    plane = data.aelle.transform(data.final.spectra)
    return plane if plane.shape[1] > 1 else np.pad(plane, ((0, 0), (0, 1)))


def _coloured(data: ReportData, values: np.ndarray, label: str) -> Figure:
    """PC1 and PC2 coloured by a number of each network, by its logarithm where it spans more than a factor of five;
    unseen networks ringed."""
    figure, axes = new_figure()
    plane = _plane(data)
    unseen = np.isin(data.final.networks, sorted(data.test_networks))
    rings = np.where(unseen, 0.9, 0.0)
    points = axes.scatter(
        plane[:, 0],
        plane[:, 1],
        c=values,
        norm="log" if 0 < 5 * values.min() < values.max() else "linear",
        cmap="cividis",
        s=34,
        edgecolors="black",
        linewidths=rings.tolist(),
    )
    figure.colorbar(points, label=label)
    axes.axvline(data.aelle.median_, color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel="AeLLE component 1 (predicted loss rises to the right)", ylabel="AeLLE component 2")
    return figure


def draw_plane_by_accuracy(data: ReportData) -> Figure:
    """Coloured by final accuracy; by final loss where the task has no accuracy."""
    if np.isnan(data.final.accuracy).all():
        return _coloured(data, data.final.final_loss, f"final validation {data.loss_name}")
    return _coloured(data, data.final.accuracy, "final validation accuracy")


def draw_plane_by_scale(data: ReportData) -> Figure:
    """Coloured by the scale of the initial weights."""
    return _coloured(data, data.final.hyperparameters["scale"], "scale of the initial weights")


def draw_plane_by_cell(data: ReportData) -> Figure:
    """PC1 and PC2 by cell: colour and mark."""
    figure, axes = new_figure()
    plane = _plane(data)
    for cell, (colour, mark) in cell_styles(list(data.good_fraction_by_cell)).items():
        chosen = data.final.cells == cell
        axes.scatter(
            plane[chosen, 0], plane[chosen, 1], color=colour, marker=mark, s=30, alpha=0.8, linewidths=0, label=cell
        )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    axes.set(xlabel="AeLLE component 1 (predicted loss rises to the right)", ylabel="AeLLE component 2")
    return figure
