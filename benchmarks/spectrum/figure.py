"""spectrum-cost.png and .svg: cost against N, T and B, and memory against T, on logarithmic axes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.shared.drawing import logarithmic, save
from benchmarks.spectrum.growth import BASE_STEPS, SEQUENCES, UNITS, Curve
from benchmarks.spectrum.memory import Growth

_STYLES = {
    "exact": ("#0072B2", "o", "ours, exact"),
    "fast": ("#009E73", "^", "ours, fast"),
    "published": ("#D55E00", "s", "published way"),
}


def draw(
    folder: Path,
    by_size: Sequence[Curve],
    by_steps: Sequence[Curve],
    by_sequences: Sequence[Curve],
    growths: Sequence[Growth],
) -> None:
    """Four panels, as PNG and SVG, on white: they read the same on a dark page and in print."""
    figure = Figure(figsize=(9.6, 7.0), layout="constrained", facecolor="white")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _panel(first, by_size, "N (units)", "µs per step and sequence", 1e6)
    _guide(first, by_size, 3, "slope 3", 1e6)
    _panel(second, by_steps, "T (steps)", "seconds", 1.0)
    _guide(second, by_steps, 1, "slope 1", 1.0)
    _panel(third, by_sequences, "B (sequences)", "seconds", 1.0)
    _guide(third, by_sequences, 1, "slope 1", 1.0)
    first.set_title(f"N: rnn, T = {BASE_STEPS} or fewer, B = {SEQUENCES}", fontsize="medium")
    second.set_title(f"T: rnn, N = {UNITS}, B = {SEQUENCES}", fontsize="medium")
    third.set_title(f"B: rnn, N = {UNITS}, T = {BASE_STEPS}", fontsize="medium")
    _memory(fourth, growths)
    first.legend(frameon=False)
    fourth.legend(frameon=False)
    figure.suptitle("What a spectrum costs: float64, one thread", fontsize="large")
    save(figure, folder, "spectrum-cost")


def _panel(axes: Axes, curves: Sequence[Curve], label: str, unit: str, scale: float) -> None:
    for curve in curves:
        colour, mark, name = _STYLES[curve.way]
        axes.plot(curve.values, np.array(curve.seconds) * scale, color=colour, marker=mark, label=name)
    logarithmic(axes, [value for curve in curves for value in curve.values], label, unit)


def _guide(axes: Axes, curves: Sequence[Curve], power: int, text: str, scale: float) -> None:
    """A line of that slope, under our last point and a little away."""
    ours = curves[0]
    values = np.array([ours.values[-1] / 8, ours.values[-1]])
    heights = ours.seconds[-1] * scale * 0.4 * (values / values[-1]) ** power
    axes.plot(values, heights, color="0.35", linewidth=1.2, linestyle="--")
    middle = (np.sqrt(values[0] * values[1]), np.sqrt(heights[0] * heights[1]))
    axes.annotate(text, middle, xytext=(8, -4), textcoords="offset points", ha="left", va="top", color="0.25")


def _memory(axes: Axes, growths: Sequence[Growth]) -> None:
    for way, (colour, mark, name) in _STYLES.items():
        points = [(growth.steps, growth.bytes / 2**20) for growth in growths if growth.way == way]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=mark, label=name)
    logarithmic(axes, [growth.steps for growth in growths], "T (steps)", "MiB above the resting process")
    axes.set_ylim(bottom=1)
    axes.set_title(f"Memory: rnn, N = {UNITS}, B = {SEQUENCES}", fontsize="medium")
