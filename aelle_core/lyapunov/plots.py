"""Pictures of one spectrum."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.instantaneous import instantaneous_exponents

if TYPE_CHECKING:
    from aelle_core.lyapunov.result import LyapunovSpectrum

_COLOUR = "#4477aa"


def plot_spectrum(spectrum: "LyapunovSpectrum", axes: Any = None) -> Any:
    """Exponents over their index with standard errors: filled where resolved, hollow where not."""
    axes = _axes(axes)
    exponents = spectrum.exponents
    index = np.arange(1, len(exponents) + 1)
    alive = np.isfinite(exponents)
    resolved = np.ones_like(alive) if spectrum.resolved is None else spectrum.resolved
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.plot(index[alive], exponents[alive], "-", color=_COLOUR, linewidth=1.0)
    for chosen, face, label in ((resolved, _COLOUR, None), (~resolved, "none", "not resolved: rounding")):
        shown = alive & chosen
        if shown.any():
            axes.errorbar(
                index[shown],
                exponents[shown],
                yerr=np.nan_to_num(spectrum.stderr[shown]),
                fmt="o",
                markersize=4,
                color=_COLOUR,
                markerfacecolor=face,
                capsize=2,
                elinewidth=0.8,
                label=label,
            )
            if label is not None:
                axes.legend(frameon=False, fontsize="small")
    notes = []
    if spectrum.status != "ok":
        notes.append("weights or states are not finite: there is no spectrum")
    if spectrum.dead_directions:
        notes.append(f"{counted(spectrum.dead_directions, 'dead direction')} at -inf not shown")
    if notes:
        axes.set_title("; ".join(notes), fontsize="small")
    axes.set_xlabel("index")
    axes.set_ylabel("Lyapunov exponent (nats per step)")
    axes.margins(x=0.03)
    return axes


def plot_running(spectrum: "LyapunovSpectrum", axes: Any = None) -> Any:
    """Finite-time exponents over counted steps, one line for each; at most twelve, evenly spread over the index."""
    if spectrum.running is None or spectrum.running_steps is None:
        raise UserError("no finite-time exponents were recorded: expected lyapunov_spectrum(..., running=steps)")
    axes = _axes(axes)
    count = spectrum.running.shape[1]
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    for index in np.unique(np.linspace(0, count - 1, min(count, 12)).round().astype(int)):
        shade = 0.25 + 0.6 * index / max(1, count - 1)
        values = np.where(np.isfinite(spectrum.running[:, index]), spectrum.running[:, index], np.nan)
        axes.plot(spectrum.running_steps, values, linewidth=1.0, color=_shade(shade), label=f"{index + 1}")
    axes.set_xlabel("counted steps")
    axes.set_ylabel("finite-time exponent (nats per step)")
    axes.legend(title="index", ncols=2, frameon=False, fontsize="x-small", title_fontsize="x-small")
    return axes


def plot_instantaneous(
    spectrum: "LyapunovSpectrum", labels: Sequence[str] | None = None, leading: int = 1, axes: Any = None
) -> Any:
    """Draw the growth of single steps: lines for the `leading` exponents, bars for the mean of all that were followed;
    bars below zero are where the network forgets. `labels` name the inputs, one for each record."""
    steps, values = instantaneous_exponents(spectrum)
    if labels is not None and len(labels) != len(steps):
        raise UserError(f"{counted(len(labels), 'label')} for {counted(len(steps), 'record')}: expected one for each")
    if not 0 <= leading <= values.shape[1]:
        raise UserError(f"leading={leading!r}: expected a whole number from 0 to {values.shape[1]}")
    axes = _axes(axes)
    alive = np.isfinite(values)
    sums = np.where(alive, values, 0.0).sum(axis=1)
    mean = sums / np.maximum(alive.sum(axis=1), 1)
    width = 0.8 * float(np.diff(steps).min()) if len(steps) > 1 else 0.8
    colours = ["#d55e00" if exponent < 0 else _COLOUR for exponent in mean]
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.bar(steps, mean, width=width, color=colours, alpha=0.55, label=f"mean of {values.shape[1]}")
    for index in range(leading):
        shown = np.where(alive[:, index], values[:, index], np.nan)
        axes.plot(
            steps,
            shown,
            ".-",
            linewidth=1.0,
            color=_shade(0.9 - 0.6 * index / max(leading, 1)),
            label=f"exponent {index + 1}",
        )
    if labels is not None:
        axes.set_xticks(steps, labels)
    axes.set_xlabel("counted steps" if labels is None else "input")
    axes.set_ylabel("growth of the step (nats)")
    axes.legend(frameon=False, fontsize="small")
    axes.margins(x=0.02)
    return axes


def _shade(share: float) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](1 - share)


def _axes(axes: Any) -> Any:
    if axes is not None:
        return axes
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    try:
        figure = pyplot.figure(figsize=(6, 3.5), layout="constrained")
    except ImportError:  # MPLBACKEND, inherited from a notebook, names a backend of another environment: no window
        figure = Figure(figsize=(6, 3.5), layout="constrained")
    return figure.add_subplot()
