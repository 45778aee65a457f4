"""Spectra of different sizes on one axis."""

import numpy as np

from aelle_core.foundation.errors import UserError


def interpolate_spectrum(spectrum: np.ndarray, size: int) -> np.ndarray:
    """Return a spectrum (k,) at `size` places: exponent i of k stands at i / (k - 1), linearly between neighbours.

    Between a finite exponent and a dead one (-inf) the value is -inf. Raises UserError for a size below 1 or a
    spectrum that is not one-dimensional.
    """
    values = np.asarray(spectrum, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise UserError(f"spectrum has shape {values.shape}: expected one dimension with at least one exponent")
    if size < 1:
        raise UserError(f"interpolation to size {size!r}: expected at least 1")
    if len(values) == size:
        return values.copy()
    position = np.linspace(0, len(values) - 1, size)
    left = np.floor(position).astype(int)
    right = np.minimum(left + 1, len(values) - 1)
    share = position - left
    with np.errstate(invalid="ignore"):
        between = values[left] * (1 - share) + values[right] * share
    # 0 * -inf is NaN: a place that falls on an exponent takes it as it is.
    return np.where(share == 0, values[left], between)
