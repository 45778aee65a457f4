"""How far a spectrum is from all that a predictor was fitted to."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_AXES = 8
_SHARE = 0.99


@dataclass(frozen=True)
class Familiarity:
    """The fitted inputs on their principal axes.

    center (D,), axes (m, D), known (n, m) the fitted inputs on the axes, reach: the distance to the nearest other one
    that 99 % of the fitted inputs keep within.
    """

    center: np.ndarray
    axes: np.ndarray
    known: np.ndarray
    reach: float

    @classmethod
    def fitted(cls, inputs: np.ndarray) -> "Familiarity":
        """Return what is known after inputs (n, D)."""
        center = inputs.mean(axis=0)
        _, _, axes = np.linalg.svd(inputs - center, full_matrices=False)
        region = cls(center, axes[:_AXES], (inputs - center) @ axes[:_AXES].T, 1.0)
        nearest = region._nearest(inputs, neighbour=1) if len(inputs) > 1 else np.ones(1)
        reach = float(np.quantile(nearest, _SHARE))
        return cls(region.center, region.axes, region.known, reach if reach > 1e-12 else 1.0)

    def distance(self, inputs: np.ndarray) -> np.ndarray:
        """Return the distance (n,) of inputs (n, D) to the nearest fitted input, in units of `reach`."""
        return self._nearest(inputs, neighbour=0) / self.reach

    def _nearest(self, inputs: np.ndarray, neighbour: int) -> np.ndarray:
        placed = (inputs - self.center) @ self.axes.T
        off = np.square(inputs - self.center).sum(axis=1) - np.square(placed).sum(axis=1)
        near, _ = cKDTree(self.known).query(placed, k=neighbour + 1)
        near = near.reshape(len(placed), -1)[:, -1]
        return np.sqrt(np.square(near) + np.maximum(off, 0.0))
