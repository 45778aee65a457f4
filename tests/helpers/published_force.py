"""FORCE as Sussillo & Abbott published it: their program, line by line, one network in NumPy."""

from collections.abc import Mapping

import numpy as np


def published_force(
    parameters: Mapping[str, np.ndarray],
    state: np.ndarray,
    target: np.ndarray,
    *,
    periods: int,
    test_periods: int,
    learn_every: int = 2,
    alpha: float = 1.0,
    dt: float = 0.1,
) -> tuple[np.ndarray, float]:
    """The readout after so many periods of training, and the mean |error| of the free run after it (NaN for none).

    `parameters` are M (units, units) and w_f (units,), `target` is one period.
    """
    M, w_f, x = parameters["M"], parameters["w_f"], state
    w_o, P = np.zeros(len(x)), np.eye(len(x)) / alpha
    r = np.tanh(x)
    z = w_o @ r
    errors = []
    for time in range((periods + test_periods) * len(target)):
        f = target[time % len(target)]
        if time >= periods * len(target):
            errors.append(abs(z - f))
        elif time % learn_every == 0:
            k = P @ r
            c = 1.0 / (1.0 + r @ k)
            P = P - np.outer(k, k) * c
            w_o = w_o - (z - f) * k * c
        x = (1 - dt) * x + M @ (r * dt) + w_f * (z * dt)
        r = np.tanh(x)
        z = w_o @ r
    return w_o, float(np.mean(errors)) if errors else float("nan")
