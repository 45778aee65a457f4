"""Whether a free run visits the states that the system visits."""

from typing import ClassVar

import numpy as np

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measures

VARIANCE = 0.1  # of each Gaussian, where a feature of the data has variance 1
CENTRES = 500


@measures.register("d_stsp")
class StateSpaceDivergence(Measure):
    """D_stsp = KL(p_data || p_run) in nats, of Gaussian mixtures around the states of both, estimated at other
    states of the data: the mean of log p_data(x) - log p_run(x).

    Each mixture has up to 500 states, evenly spread over the sequences and steps, with the same variance 0.1 in every
    feature, in units of the data's standard deviation. States that are not finite lie infinitely far away: a mixture of
    them alone has the divergence of one that is 30 standard deviations off.
    """

    description: ClassVar[str] = "state-space divergence D_stsp (nats)"
    source: ClassVar[str] = "Koppe et al., PLoS Comput. Biol. 15 (2019), equations 26-27; Brenner et al., ICML 2022"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        spread = np.where(runs.spread > 0, runs.spread, 1.0)
        data = _chosen(runs.data / spread)
        points = _chosen(runs.data / spread, between=True)
        own = _log_density(points, data)
        return np.array([float(np.mean(own - _log_density(points, _chosen(run / spread)))) for run in runs.runs])

    @classmethod
    def as_loss(cls, values: np.ndarray) -> np.ndarray:
        """Return log(1 + e^D), (networks,), positive where the estimate of a divergence near zero is below it."""
        return np.logaddexp(0.0, np.asarray(values, dtype=float))


def _chosen(states: np.ndarray, between: bool = False) -> np.ndarray:
    """Up to 500 of the states (sequences, steps, features), or those in the middle between them, (states, features)."""
    flat = states.reshape(-1, states.shape[-1])
    indices = np.linspace(0, len(flat) - 1, min(CENTRES, len(flat)))
    if between and len(indices) > 1:
        indices = (indices[1:] + indices[:-1]) / 2
    return flat[indices.astype(int)]


def _log_density(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return log p of points (n, features) under the mixture, without the constant that both mixtures share, (n,)."""
    floor = -(30.0**2) * centres.shape[1] / (2 * VARIANCE)
    finite = centres[np.isfinite(centres).all(axis=1)]
    if not len(finite):
        return np.full(len(points), floor)
    finite = np.clip(finite, -1e6, 1e6)
    squares = (points**2).sum(axis=1)[:, None] + (finite**2).sum(axis=1) - 2 * points @ finite.T
    exponents = np.maximum(-squares / (2 * VARIANCE), floor)
    top = exponents.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(exponents - top).sum(axis=1) / len(centres))
