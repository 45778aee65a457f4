"""Peers for small systems: pynamicalsys, lyapynov, and twenty lines of numba."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


@njit
def gram_schmidt(jacobians: Any) -> Any:
    """Return the exponents of Jacobians (steps, size, size): modified Gram-Schmidt after every step."""
    steps, size, _ = jacobians.shape
    q, sums = np.eye(size), np.zeros(size)
    for step in range(steps):
        moved = jacobians[step] @ q
        for column in range(size):
            for before in range(column):
                share = 0.0
                for row in range(size):
                    share += q[row, before] * moved[row, column]
                for row in range(size):
                    moved[row, column] -= share * q[row, before]
            length = 0.0
            for row in range(size):
                length += moved[row, column] ** 2
            length = np.sqrt(length)
            sums[column] += np.log(length)
            for row in range(size):
                q[row, column] = moved[row, column] / length
    return sums / steps


def pynamicalsys_lorenz(steps: int, time_step: float) -> Callable[[], np.ndarray]:
    """Return a run of Lorenz-63 by its compiled Runge-Kutta method, Jacobians by hand, as its page says."""
    from pynamicalsys import ContinuousDynamicalSystem

    system = ContinuousDynamicalSystem(model="lorenz system")
    system.integrator("rk4", time_step=time_step)

    def run() -> np.ndarray:
        exponents = system.lyapunov([1.0, 1.0, 20.0], steps * time_step, parameters=[10.0, 28.0, 8 / 3])
        return np.asarray(exponents) * time_step

    return run


def pynamicalsys_henon(steps: int) -> Callable[[], np.ndarray]:
    """Return a run of the Henon map, a = 1.4 and b = 0.3."""
    from pynamicalsys import DiscreteDynamicalSystem

    system = DiscreteDynamicalSystem(model="henon map")
    return lambda: np.asarray(system.lyapunov([0.1, 0.1], steps, parameters=[1.4, 0.3]))


def lyapynov_lorenz(steps: int, time_step: float) -> Callable[[], np.ndarray]:
    """Return a run of Lorenz-63 in numpy, with a Jacobian by hand."""
    import lyapynov

    def flow(u: np.ndarray, _: float) -> np.ndarray:
        x, y, z = u
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    def jacobian(u: np.ndarray, _: float) -> np.ndarray:
        x, y, z = u
        return np.array([[-10, 10, 0], [28 - z, -1, -x], [y, x, -8 / 3]])

    def run() -> np.ndarray:
        system = lyapynov.ContinuousDS(np.array([1.0, 1.0, 20.0]), 0.0, flow, jacobian, time_step)
        return np.asarray(lyapynov.LCE(system, 3, 0, steps, False)) * time_step

    return run
