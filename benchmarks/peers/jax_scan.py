"""Exponents by JAX: lax.scan over the steps, forward-mode tangents, jnp.linalg.qr after every step, compiled by XLA."""

from collections.abc import Callable
from typing import Any

import numpy as np

TIME_STEP = 0.01


def lorenz(numbers: Any) -> Callable[[Any], Any]:
    """Return Lorenz-63's flow, of (3,), in the given module of arrays."""
    return lambda s: numbers.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])


def lorenz96(numbers: Any) -> Callable[[Any], Any]:
    """Return Lorenz-96's flow with a force of 8, of (size,)."""
    return lambda s: (numbers.roll(s, -1) - numbers.roll(s, 2)) * numbers.roll(s, 1) - s + 8


def henon(numbers: Any) -> Callable[[Any], Any]:
    """Return the Hénon map, of (2,)."""
    return lambda s: numbers.stack([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]])


def runge_kutta(flow: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a step of the classical fourth-order method."""

    def step(s: Any) -> Any:
        a = flow(s)
        b = flow(s + TIME_STEP / 2 * a)
        c = flow(s + TIME_STEP / 2 * b)
        return s + TIME_STEP / 6 * (a + 2 * b + 2 * c + flow(s + TIME_STEP * c))

    return step


def run_of(name: str, start: np.ndarray, steps: int) -> Callable[[], np.ndarray]:
    """Return a run of `lorenz`, `lorenz96` or `henon`; its exponents (size,) are nats per step."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    step = {"lorenz": runge_kutta(lorenz(jnp)), "lorenz96": runge_kutta(lorenz96(jnp)), "henon": henon(jnp)}[name]

    def move(carried: Any, _: None) -> tuple[Any, None]:
        state, q, sums = carried
        new, along = jax.linearize(step, state)
        q, r = jnp.linalg.qr(jax.vmap(along, in_axes=1, out_axes=1)(q))
        return (new, q, sums + jnp.log(jnp.abs(jnp.diagonal(r)))), None

    @jax.jit
    def whole(first: Any) -> Any:
        (_, _, sums), _ = jax.lax.scan(move, (first, jnp.eye(len(start)), jnp.zeros(len(start))), None, length=steps)
        return sums / steps

    return lambda: np.asarray(whole(start))
