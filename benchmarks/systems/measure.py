"""The spectrum of one system with what it must obey: the mean divergence of its equation."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.systems import Flow, KnownSystem

TRAJECTORIES, PERIODS = 16, 60
MAP_STEPS = 600


@dataclass(frozen=True)
class Measured:
    """Of a system: exponents with standard errors and the mean divergence, in nats per unit of time; what the package
    keeps; in a sentence why there is no spectrum, where there is none."""

    name: str
    exponents: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    divergence: float = float("nan")
    stored: tuple[float, ...] = ()
    flow: bool = True
    obstacle: str = ""


def measure(system: KnownSystem, per_period: int, seed: int = 0) -> Measured:
    """Return the spectrum of `system`, over trajectories from states of their own, 60 periods long of which 15 turn
    the tangents (maps: 600 steps, 150)."""
    flow, stored = isinstance(system, Flow), tuple(getattr(system, "stored", ()))
    steps = PERIODS * per_period if flow else MAP_STEPS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = system.on_attractor(TRAJECTORIES, seed=seed)
            start = start[torch.isfinite(start).all(dim=-1)]
            if len(start) < TRAJECTORIES // 2:
                raise UserError(f"{TRAJECTORIES - len(start)} of {TRAJECTORIES} trajectories leave all bounds")
            spectrum = lyapunov_spectrum(system, initial_state=start, steps=steps, warmup=steps // 4, check=False)
            divergence = mean_divergence(system, start, steps)
    except (UserError, RuntimeError) as error:
        return Measured(system.name, stored=stored, flow=flow, obstacle=str(error).split("\n")[0][:150])
    scale = system.interval
    values, errors = (
        tuple((np.asarray(per_step) / scale).tolist()) for per_step in (spectrum.exponents, spectrum.stderr)
    )
    return Measured(system.name, values, errors, divergence, stored, flow)


def mean_divergence(system: KnownSystem, state: Tensor, steps: int) -> float:
    """Return the mean of the trace of the equation's Jacobian along trajectories (of a map, of log |det J|), in nats
    per unit of time: what the exponents add up to, found without following any direction."""
    means, every = [], max(1, steps // 60)
    flow = isinstance(system, Flow)
    for step in range(steps):
        if step >= steps // 4 and step % every == 0:
            means.append(_traces(system, state) if flow else _log_volumes(system, state))
        state = system.advance(state)
    return float(torch.cat(means).mean())


def _traces(system: Flow, state: Tensor) -> Tensor:
    total = torch.zeros(len(state), dtype=state.dtype)
    for column in range(system.size):
        direction = torch.zeros_like(state)
        direction[:, column] = 1
        total += torch.func.jvp(system.velocity, (state,), (direction,))[1][:, column]
    return total


def _log_volumes(system: KnownSystem, state: Tensor) -> Tensor:
    columns = []
    for column in range(system.size):
        direction = torch.zeros_like(state)
        direction[:, column] = 1
        columns.append(torch.func.jvp(system.advance, (state,), (direction,))[1])
    return torch.linalg.slogdet(torch.stack(columns, dim=-1))[1]
