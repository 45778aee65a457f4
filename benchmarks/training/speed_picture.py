"""training-speed.png and .svg: how many times faster than one by one, and networks per second against P, N and T."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.shared.drawing import logarithmic, plain, save
from benchmarks.training.by_cell import LOOP_GAIN, OfCell
from benchmarks.training.by_size import Curve
from benchmarks.training.shapes import Shape

_COLOURS = {"lstm": "#0072B2", "lem": "#D55E00"}
_STYLES = {"ours": ("-", "o"), "one by one": ("--", "s")}
_RATE = "networks x mini-batches per second"


def draw(
    folder: Path,
    of_cells: Sequence[OfCell],
    by_networks: Sequence[Curve],
    by_units: Sequence[Curve],
    by_steps: Sequence[Curve],
) -> None:
    """Four panels, as PNG and SVG, on white."""
    shape = Shape(of_cells[0].cell)
    figure = Figure(figsize=(9.6, 7.4), layout="constrained", facecolor="white")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _gains(first, of_cells)
    for axes, curves, label in (
        (second, by_networks, "P (networks side by side)"),
        (third, by_units, "N (units)"),
        (fourth, by_steps, "T (steps)"),
    ):
        _panel(axes, [curve for curve in curves if curve.cell in _COLOURS], label)
    second.set_title(f"P: N = {shape.units}, T = {shape.steps}", fontsize="medium")
    third.set_title(f"N: T = {shape.steps}", fontsize="medium")
    fourth.set_title(f"T: N = {shape.units}", fontsize="medium")
    (third if by_units else second).legend(frameon=False)
    figure.suptitle(f"What training costs: batch {shape.batch}, float32, one thread", fontsize="large")
    save(figure, folder, "training-speed")


def _gains(axes: Axes, of_cells: Sequence[OfCell]) -> None:
    gains = [of_cell.gain for of_cell in of_cells]
    places = np.arange(len(of_cells))[::-1]
    middle = np.array([gain.median for gain in gains])
    around = [middle - [gain.low for gain in gains], np.array([gain.high for gain in gains]) - middle]
    axes.errorbar(middle, places, xerr=around, fmt="o", color="#0072B2", ecolor="0.5", capsize=3)
    axes.axvline(1, color="0.35", linewidth=1.2)
    axes.axvline(LOOP_GAIN, color="0.35", linewidth=1.2, linestyle="--")
    axes.set_yticks(places, [of_cell.cell for of_cell in of_cells])
    axes.set(xlabel="times faster than the best one-by-one way", xlim=(0, None))
    axes.set_title(f"Lines: 1x, and the aim of {LOOP_GAIN:g}x for loop cells", fontsize="medium")
    plain(axes)


def _panel(axes: Axes, curves: Sequence[Curve], label: str) -> None:
    if not curves:
        axes.text(0.5, 0.5, "left out: the time was over", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    for curve in curves:
        line, mark = _STYLES[curve.who]
        colour = _COLOURS[curve.cell]
        axes.plot(curve.values, curve.rates, line, marker=mark, color=colour, label=f"{curve.cell}, {curve.who}")
    logarithmic(axes, [value for curve in curves for value in curve.values], label, _RATE)
