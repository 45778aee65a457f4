"""Spectra, and what is known beside them, as the numbers that AeLLE's networks see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum

_KNOWN_SHARE = 1 / 8  # of the squared size of the inputs, for what is known beside the spectrum


def stack_spectra(spectra: Any, size: int | None = None) -> Any:
    """Return a list of spectra as one array (n, D), those of different lengths, or of another than `size`,
    interpolated to `size` or the largest. The list may be a sequence of arrays, lists or tensors, an array of arrays,
    or a column of lists of Arrow or pandas; what is no list of spectra stays unchanged."""
    listed = _as_list(spectra)
    if listed is None:
        return spectra
    lengths = {len(spectrum) for spectrum in listed}
    if len(lengths) > 1 or (size is not None and lengths != {size}):
        return np.stack([interpolate_spectrum(spectrum, size or max(lengths)) for spectrum in listed])
    return np.stack(listed)


def _as_list(spectra: Any) -> list[np.ndarray] | None:
    """Return the arrays (D,) of a list of spectra; None where it is none."""
    if isinstance(spectra, np.ndarray):
        spectra = list(spectra) if spectra.dtype == object and spectra.ndim == 1 else None
    elif hasattr(spectra, "to_pylist"):  # a column of Arrow
        spectra = spectra.to_pylist()
    elif getattr(spectra, "ndim", None) == 1 and hasattr(spectra, "to_numpy"):  # a column of pandas
        spectra = list(spectra.to_numpy())
    if not isinstance(spectra, Sequence) or isinstance(spectra, str) or not len(spectra):
        return None
    try:
        listed = [np.asarray(spectrum, dtype=np.float64) for spectrum in spectra]
    except (TypeError, ValueError):
        return None
    return listed if all(spectrum.ndim == 1 and spectrum.size for spectrum in listed) else None


def beside(spectra: Any, **known: Any) -> np.ndarray:
    """Return spectra (n, D) with columns for what else is known of the networks: (n, D + number of names).

    `loss` (the present loss), `learning_rate` and `scale` become logarithms, `epoch` the logarithm of epoch + 1, all
    else stays. `AeLLE(known=("loss", "learning_rate"))` takes the names in the same order.

        X = beside(spectra, loss=present, learning_rate=rates)
        AeLLE(known=("loss", "learning_rate")).fit(X, final_losses)

    Raises UserError where a column has another length, or no logarithm.
    """
    stacked = np.asarray(stack_spectra(spectra), dtype=np.float64)
    columns = []
    for name, values in known.items():
        column = np.broadcast_to(np.asarray(values, dtype=np.float64), stacked.shape[:1])
        if name in ("loss", "learning_rate", "scale", "epoch"):
            column = column + 1 if name == "epoch" else column
            if not (column > 0).all():
                raise UserError(f"{name} goes down to {np.min(values):g}: expected values whose logarithm exists")
            column = np.log(column)
        columns.append(column)
    return np.column_stack([stacked, *columns])


@dataclass(frozen=True)
class Inputs:
    """Standardised inputs of arrays (n, D): exponents floored and, with a `scale`, passed through asinh; the last
    `known` columns stand for what is known beside the spectrum.

    mean, deviation   (D,) over what was fitted
    """

    floor: float
    scale: float | None
    known: int
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fitted(cls, X: np.ndarray, floor: float, scale: float | None, known: int) -> "Inputs":
        """Return the map fitted to an array (n, D) without NaN."""
        plain = cls(floor, scale, known, np.zeros(X.shape[1]), np.ones(X.shape[1]))
        values = plain(X)
        deviation = values.std(axis=0)
        deviation = np.where(deviation > 1e-12, deviation, 1.0)
        if known:
            # One column among many exponents would be overheard: together they weigh an eighth of the spectrum.
            deviation[-known:] /= max(1.0, _KNOWN_SHARE * (X.shape[1] - known) / known) ** 0.5
        return cls(floor, scale, known, values.mean(axis=0), deviation)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """(n, D) -> (n, D)."""
        exponents, known = X[:, : X.shape[1] - self.known], X[:, X.shape[1] - self.known :]
        exponents = np.maximum(exponents, self.floor)
        if self.scale is not None:
            exponents = np.arcsinh(exponents / self.scale)
        return (np.concatenate([exponents, known], axis=1) - self.mean) / self.deviation

    def back(self, inputs: np.ndarray) -> np.ndarray:
        """Return the exponents (nats per step) and known columns (n, D) behind inputs (n, D)."""
        values = inputs * self.deviation + self.mean
        count = values.shape[1] - self.known
        if self.scale is not None:
            # No farther than float64 goes; a decoder says nothing about exponents out there.
            values[:, :count] = np.sinh(np.clip(values[:, :count], -300.0, 300.0)) * self.scale
        return values
