"""Figures that read the same on a white page, on a dark one and in print."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter


def logarithmic(axes: Axes, values: Sequence[int], label: str, unit: str) -> None:
    """Both axes logarithmic, with the measured values on the horizontal one."""
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel=unit)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    plain(axes)


def plain(axes: Axes) -> None:
    """A light grid, no box."""
    axes.grid(True, which="major", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, folder: Path, name: str) -> None:
    """As SVG, whose text stays text, and as PNG; the same figure gives the same files."""
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=150)
