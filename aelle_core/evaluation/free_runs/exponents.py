"""Whether a network's closed loop has the exponents of the system."""

from collections.abc import Mapping

import numpy as np


def exponents_error(closed_loop: np.ndarray, known: Mapping[int, float], interval: float) -> np.ndarray:
    """Return the mean absolute difference between exponents, in nats per unit of time, (networks,).

    closed_loop  (networks, k) exponents of the closed loops in nats per step, descending
    known        the system's own by rank, in nats per unit of time. Only those that are not negative are compared:
                 behind them a network has contracting directions of its own, which no data speak of

    NaN where no known exponent was followed. Pathak et al., Chaos 27 (2017), figure 4.
    """
    chosen = [rank for rank in sorted(known) if known[rank] >= 0 and rank < closed_loop.shape[1]]
    if not chosen:
        return np.full(len(closed_loop), np.nan)
    expected = np.array([known[rank] for rank in chosen])
    return np.abs(closed_loop[:, chosen] / interval - expected).mean(axis=1)
