"""Other ways to flatten spectra, beside AeLLE."""

from importlib.util import find_spec

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from aelle_core.evaluation.classifiers.scalar import FLOOR
from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.figures.plane import plane_of
from aelle_core.report.figures.scaling import plain_numbers
from aelle_core.report.palette import blank


def _pca(spectra: np.ndarray) -> np.ndarray:
    return PCA(2).fit_transform(spectra)


def _tsne(spectra: np.ndarray) -> np.ndarray:
    perplexity = min(30.0, (len(spectra) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(spectra)


def _umap(spectra: np.ndarray) -> np.ndarray:
    from umap import UMAP

    neighbours = min(15, len(spectra) - 1)
    return UMAP(n_components=2, n_neighbors=neighbours, random_state=0, n_jobs=1).fit_transform(spectra)


@figures.register("9_embeddings")
class Embeddings(ReportFigure):
    """PCA and t-SNE of standardised final spectra, UMAP where it is installed, and the AeLLE plane, coloured by final
    loss."""

    title = "Other ways to flatten spectra, beside AeLLE"
    caption = (
        "Final spectra, standardised, flattened by PCA, t-SNE (perplexity 30) and, with the extra `embeddings`, UMAP "
        "(15 neighbours), which know no losses, and by AeLLE, which was fitted to them on the networks that are not "
        "ringed; coloured by final loss, the best and worst 5 % in the colours at the ends."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
        final = data.final
        spectra = StandardScaler().fit_transform(np.maximum(final.spectra, FLOOR))
        flat = {"PCA": _pca(spectra), "t-SNE": _tsne(spectra)}
        if find_spec("umap") is not None:
            flat["UMAP"] = _umap(spectra)
        flat["AeLLE"] = plane_of(data, final.spectra)
        rings = np.where(np.isin(final.networks, sorted(data.test_networks)), 0.7, 0.0).tolist()
        figure = blank(10.0, 3.1)
        panels = figure.subplots(1, len(flat))
        colours = LogNorm(*np.quantile(final.final_loss, [0.05, 0.95]).tolist())
        for axes, (name, points) in zip(panels, flat.items(), strict=True):
            axes.set_title(name, fontsize=10)
            axes.set(xticks=[], yticks=[])
            drawn = axes.scatter(
                *points.T, c=final.final_loss, norm=colours, cmap="cividis", s=16, edgecolors="black",
                linewidths=rings if name == "AeLLE" else 0,
            )  # fmt: skip
        ringed = Line2D([], [], marker="o", linestyle="", color="0.8", markeredgecolor="black", label="unseen by AeLLE")
        figure.legend(handles=[ringed], loc="outside lower center", frameon=False)
        bar = figure.colorbar(drawn, ax=panels, label=data.outcome_name)
        plain_numbers(bar.ax.yaxis)
        return figure
