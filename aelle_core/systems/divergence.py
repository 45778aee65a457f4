"""The largest exponent of a system of which series are all that is known."""

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

_POINTS = 500  # states whose neighbours are followed
_CANDIDATES = 6000
_SATURATED = 0.6  # of the way, in the logarithm, from the first separation to the last


def estimated_exponent(series: np.ndarray, *, dimension: int | None = None, horizon: int | None = None) -> float:
    """Return the largest Lyapunov exponent estimated from series (series, steps, features), in nats per step.

    States are features at `dimension` delays (by default as many as make at least 6 numbers, at least 1), a lag apart
    at which the series' autocorrelation has fallen to 1/e. Each of 500 states is followed along with its nearest
    neighbour from another time, and the slope of the mean logarithm of their distance is taken by least squares, from
    half a lag on (until then neighbours turn into the direction that grows fastest) until it has come 60 % of its way
    to where it saturates. `horizon` is how many steps are followed: by default 20 lags, at least 10, up to a quarter of
    the series.

    Rosenstein, Collins, De Luca, A practical method for calculating largest Lyapunov exponents from small data sets,
    Physica D 65 (1993). Such estimates are good to some 20 %. Raises UserError where series are too short.

    >>> x = [0.3]
    >>> for _ in range(1500): x.append(4 * x[-1] * (1 - x[-1]))  # the logistic map, whose exponent is ln 2 = 0.693
    >>> round(estimated_exponent(np.array(x).reshape(1, -1, 1), dimension=1), 1)
    0.7
    """
    if series.ndim != 3 or not np.isfinite(series).all():
        raise UserError(f"series {series.shape}: expected finite numbers (series, steps, features)")
    count, steps, features = series.shape
    spread = series.std(axis=(0, 1))
    values = (series - series.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1.0)
    lag = _lag(values)
    dimension = dimension or max(1, -(-6 // features) if features < 3 else 2)
    horizon = horizon or max(10, min(20 * lag, steps // 4))
    reach = (dimension - 1) * lag
    usable = steps - reach - horizon
    if usable < 20:
        raise UserError(
            f"series of {counted(steps, 'step')}: expected at least {reach + horizon + 20} to estimate an exponent from"
        )
    states = np.concatenate([values[:, at : steps - reach + at] for at in range(0, reach + 1, lag)], axis=-1)
    starts = np.stack(np.meshgrid(np.arange(count), np.arange(usable), indexing="ij"), axis=-1).reshape(-1, 2)
    known = starts[np.linspace(0, len(starts) - 1, min(_CANDIDATES, len(starts))).astype(int)]
    followed = known[np.linspace(0, len(known) - 1, min(_POINTS, len(known))).astype(int)]
    near = _neighbours(states, followed, known, apart=2 * lag)
    followed, near = followed[near[:, 0] >= 0], near[near[:, 0] >= 0]
    if len(followed) < 10:
        raise UserError(f"series of {counted(steps, 'step')}: expected longer ones, with neighbours from other times")
    later = np.arange(horizon + 1)
    pair = [states[at[:, :1], at[:, 1:] + later] for at in (followed, near)]
    with np.errstate(divide="ignore"):
        logs = np.log(np.linalg.norm(pair[0] - pair[1], axis=-1))
    logs[~np.isfinite(logs)] = np.nan
    curve = np.nanmean(logs, axis=0)
    goal = curve[0] + _SATURATED * (curve.max() - curve[0])
    first = lag // 2
    fitted = slice(first, max(first + 2, int(np.argmax(curve >= goal))) + 1)
    return float(np.polyfit(later[fitted], curve[fitted], 1)[0])


def _lag(values: np.ndarray) -> int:
    """Return the first lag at which the features' mean autocorrelation is below 1/e."""
    longest = max(1, values.shape[1] // 10)
    for lag in range(1, longest):
        if float((values[:, lag:] * values[:, :-lag]).mean()) < np.exp(-1) * float((values**2).mean()):
            return lag
    return longest


def _neighbours(states: np.ndarray, followed: np.ndarray, known: np.ndarray, apart: int) -> np.ndarray:
    """Return for each followed (series, step) the known one nearest in state that is another series' or at least
    `apart` steps away, (n, 2); -1 where there is none."""
    points = states[known[:, 0], known[:, 1]]
    neighbours = np.full_like(followed, -1)
    for index, (series, step) in enumerate(followed):
        distances = np.linalg.norm(points - states[series, step], axis=-1)
        distances[(known[:, 0] == series) & (np.abs(known[:, 1] - step) < apart)] = np.inf
        distances[distances == 0] = np.inf
        nearest = int(distances.argmin())
        if np.isfinite(distances[nearest]):
            neighbours[index] = known[nearest]
    return neighbours
