"""Whether the statistics of a free run are the system's."""

from typing import ClassVar

import numpy as np

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measures

BINS = 30
LAGS = (1, 5, 10)
_WIDTH = 4.0  # standard deviations on either side of the mean


@measures.register("climate")
class Climate(Measure):
    """Half the L1 distance between histograms of a free run and of the data, averaged over coordinates and over their
    differences x(t + lag) - x(t) at lags of 1, 5 and 10 steps: 0 where they agree, 1 where they do not meet.

    Each histogram has 30 bins from 4 standard deviations of the data below their mean to 4 above; the outermost bins
    reach to infinity, and hold what is not finite. All sequences count together.
    """

    description: ClassVar[str] = "climate: distance between histograms"
    source: ClassVar[str] = "total variation distance, as in Gneiting & Raftery, JASA 102 (2007), section 3"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        return np.mean([_distance(runs, lag) for lag in (0, *LAGS) if lag < runs.data.shape[1]], axis=0)


def _distance(free_runs: FreeRuns, lag: int) -> np.ndarray:
    """(networks,) averaged over features, of the coordinates (lag 0) or of differences."""
    data, runs = free_runs.data, free_runs.runs
    if lag:
        with np.errstate(invalid="ignore", over="ignore"):
            data, runs = data[:, lag:] - data[:, :-lag], runs[:, :, lag:] - runs[:, :, :-lag]
    features = data.shape[-1]
    total = np.zeros(len(runs))
    for feature in range(features):
        values = data[..., feature].ravel()
        centre, spread = values.mean(), values.std() or 1.0
        edges = centre + spread * np.linspace(-_WIDTH, _WIDTH, BINS + 1)[1:-1]
        expected = np.bincount(np.searchsorted(edges, values), minlength=BINS) / values.size
        for network, run in enumerate(runs[..., feature].reshape(len(runs), -1)):
            bins = np.searchsorted(edges, np.nan_to_num(run, nan=np.inf))
            total[network] += 0.5 * np.abs(np.bincount(bins, minlength=BINS) / run.size - expected).sum()
    return total / features
