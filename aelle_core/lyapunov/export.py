"""A spectrum as plain Python, as a DataFrame, and as a small page of a notebook."""

import html
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.lyapunov.result import LyapunovSpectrum

_WIDTH, _HEIGHT, _EDGE = 320, 120, 8


def to_dict(spectrum: "LyapunovSpectrum") -> dict[str, Any]:
    """Return every field as numbers, texts and lists, ready for json.dumps (where NaN and infinity are allowed)."""
    plain: dict[str, Any] = {}
    for field in fields(spectrum):
        value = getattr(spectrum, field.name)
        if field.name == "covariant":
            continue
        plain[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return plain


def to_pandas(spectrum: "LyapunovSpectrum") -> Any:
    """Return a DataFrame with a row for each exponent: index, exponent, stderr, resolved, rounding_error.

    Raises UserError where pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError("to_pandas needs pandas, which is not installed: pip install pandas") from error
    columns: dict[str, Any] = {"exponent": spectrum.exponents, "stderr": spectrum.stderr}
    if spectrum.resolved is not None:
        columns |= {"resolved": spectrum.resolved, "rounding_error": spectrum.rounding_error}
    index = pd.RangeIndex(1, len(spectrum.exponents) + 1, name="index")
    return pd.DataFrame(columns, index=index)


def to_html(spectrum: "LyapunovSpectrum") -> str:
    """Return what a notebook shows: a sentence, a small picture of the exponents, and the main numbers."""
    if spectrum.status != "ok":
        return f"<p><b>Lyapunov spectrum</b>: {html.escape(spectrum.summary())}</p>"
    sequences = counted(len(spectrum.per_sequence), "sequence")
    rows = {
        "largest exponent": f"{spectrum.maximum:+.4g} nats per step",
        "mean exponent": f"{spectrum.mean:+.4g} nats per step",
        "Kaplan-Yorke dimension": f"{spectrum.kaplan_yorke_dimension:.4g}",
        "dead directions": f"{spectrum.dead_directions}",
        "resolved": "not checked"
        if spectrum.resolved is None
        else f"{int(spectrum.resolved.sum())} of {len(spectrum.exponents)}",
        "computed from": f"{sequences} of {counted(spectrum.steps_shown, 'counted step')}",
    }
    cells = "".join(f"<tr><th style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    return (
        f"<div><p><b>Lyapunov spectrum</b>, {len(spectrum.exponents)} of {counted(spectrum.size, 'exponent')}. "
        f"{html.escape(spectrum.summary())}</p>{_picture(spectrum.exponents)}<table>{cells}</table></div>"
    )


def _picture(exponents: np.ndarray) -> str:
    """Exponents over their index as an SVG line, with a line at zero; dead directions are left out."""
    alive = exponents[np.isfinite(exponents)]
    if not len(alive):
        return ""
    high, low = max(0.0, float(alive.max())), min(0.0, float(alive.min()))
    span = (high - low) or 1.0

    def down(value: float) -> float:
        return _EDGE + (_HEIGHT - 2 * _EDGE) * (high - value) / span

    across = np.linspace(_EDGE, _WIDTH - _EDGE, max(2, len(exponents)))[: len(alive)]
    points = " ".join(f"{x:.1f},{down(float(y)):.1f}" for x, y in zip(across, alive, strict=True))
    zero = down(0.0)
    dots = "".join(
        f"<circle cx='{x:.1f}' cy='{down(float(y)):.1f}' r='2' fill='#4477aa'><title>{number}: {y:.4g}</title></circle>"
        for number, (x, y) in enumerate(zip(across, alive, strict=True), 1)
    )
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='exponents over their index'>"
        f"<line x1='{_EDGE}' x2='{_WIDTH - _EDGE}' y1='{zero:.1f}' y2='{zero:.1f}' stroke='#999'/>"
        f"<polyline points='{points}' fill='none' stroke='#4477aa'/>{dots}</svg>"
    )
