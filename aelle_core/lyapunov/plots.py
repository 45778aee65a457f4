"""Pictures of one spectrum."""

from typing import TYPE_CHECKING, Any

import numpy as np

from aelle_core.foundation.errors import UserError

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
        notes.append(f"{spectrum.dead_directions} dead directions at -inf not shown")
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
