"""Whether a free run has the system's rhythms."""

from typing import ClassVar

import numpy as np

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measures

SMOOTHING = 2.0  # frequencies: the standard deviation of the Gaussian that spectra are smoothed by


@measures.register("d_h")
class PowerSpectraDistance(Measure):
    """D_H: the Hellinger distance (1 - sum of sqrt(f g))^(1/2) between power spectra that add up to 1, averaged over
    features: 0 where they agree, 1 where they do not meet.

    Spectra are means over the sequences of |FFT|^2 of each feature without its mean, smoothed by a Gaussian of 2
    frequencies. A run that is not finite, or that stands still, has no spectrum: its distance is 1.
    """

    description: ClassVar[str] = "distance between power spectra D_H"
    source: ClassVar[str] = "Mikhaeil, Monfared, Durstewitz, NeurIPS 2022, appendix; Hess et al., ICML 2023"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        expected = _spectra(runs.data)
        distances = []
        for run in runs.runs:
            overlap = np.sqrt(_spectra(run) * expected).sum(axis=0)
            distances.append(float(np.sqrt(np.clip(1 - overlap, 0, 1)).mean()))
        return np.array(distances)


def _spectra(series: np.ndarray) -> np.ndarray:
    """(sequences, steps, features) -> (frequencies, features), each feature's adding up to 1, or to 0 where there is
    none."""
    if not np.isfinite(series).all():
        return np.zeros((series.shape[1] // 2 + 1, series.shape[2]))
    scale = np.abs(series).max(axis=(0, 1), keepdims=True)
    centred = series / np.where(scale > 0, scale, 1.0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    power = (np.abs(np.fft.rfft(centred, axis=1)) ** 2).mean(axis=0)
    reach = int(4 * SMOOTHING)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    padded = np.pad(power, ((reach, reach), (0, 0)), mode="reflect")
    smooth = np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T], axis=1)
    total = smooth.sum(axis=0)
    return np.where(total > 1e-12 * len(smooth), smooth / np.where(total > 0, total, 1.0), 0.0)
