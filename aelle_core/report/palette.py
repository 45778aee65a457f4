"""Colours and marks that colour-blind people can tell apart."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

GOOD, BAD, NEUTRAL = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#B8A800")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h")


def cell_styles(cells: list[str]) -> dict[str, tuple[str, str]]:
    """For each cell a colour and a mark: the pair is its own even where colours repeat."""
    return {cell: (_COLOURS[index % len(_COLOURS)], _MARKS[index % len(_MARKS)]) for index, cell in enumerate(cells)}


def new_figure(width: float = 7.2, height: float = 4.6) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, on white."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
