"""Colours and marks that colour-blind people can tell apart."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

GOOD, BAD, NEUTRAL = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito
# Okabe and Ito's on white, and five as far from them as can be: any two are 16 apart (CIE 1976) or more, in normal
# sight and without red, green or blue receptors (Machado et al. 2009).
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00",
    "#000000", "#8000E6", "#66331A", "#990066", "#001A80", "#CCCC80",
)  # fmt: skip
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


def cell_styles(cells: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a mark for each cell: each unique up to twelve cells, the pair unique up to 144."""
    colours, marks = len(_COLOURS), len(_MARKS)
    return {
        cell: (_COLOURS[index % colours], _MARKS[(index + index // colours) % marks])
        for index, cell in enumerate(cells)
    }


def blank(width: float, height: float) -> Figure:
    """Return an empty figure. Its face is opaque and white, so that dark text is read on dark pages too."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def new_figure(width: float = 7.2, height: float = 4.6) -> tuple[Figure, Axes]:
    """Return a blank figure with one pair of axes."""
    figure = blank(width, height)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
