"""The spectrum of one system with what it must obey: the mean divergence of its equation."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.systems import StepSystem
from aelle_core.systems import Flow, KnownSystem

TRAJECTORIES, PERIODS = 16, 32
LONGER = 10  # times as long are systems followed whose exponents break a rule
MAP_STEPS = 600


@dataclass(frozen=True)
class Measured:
    """Of a system: exponents with standard errors and the mean divergence, in nats per unit of time; what the package
    keeps; in a sentence why there is no spectrum, where there is none; how many times the usual length it ran;
    the divergence's standard error."""

    name: str
    exponents: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    divergence: float = float("nan")
    stored: tuple[float, ...] = ()
    flow: bool = True
    obstacle: str = ""
    times: int = 1
    divergence_error: float = 0.0


def measure(system: KnownSystem, per_period: int, seed: int = 0, times: int = 1) -> Measured:
    """Return the spectrum of `system`, over trajectories from states of their own, 32 periods long (maps: 600 steps),
    or so many times that; in the first quarter tangents turn."""
    flow, stored = isinstance(system, Flow), tuple(getattr(system, "stored", ()))
    steps = times * (PERIODS * per_period if flow else MAP_STEPS)
    one_by_one = system
    if isinstance(system, Flow):  # a Runge-Kutta step at a time: what is compiled is short
        steps *= system.substeps
        one_by_one = type(system)(interval=system.interval / system.substeps)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = system.on_attractor(TRAJECTORIES, seed=seed)
            start = start[torch.isfinite(start).all(dim=-1)]
            if len(start) < TRAJECTORIES // 2:
                raise UserError(f"{TRAJECTORIES - len(start)} of {TRAJECTORIES} trajectories leave all bounds")
            spectrum = lyapunov_spectrum(one_by_one, initial_state=start, steps=steps, warmup=steps // 4, check=False)
            divergence, spread = mean_divergence(one_by_one, start, steps)
    except (UserError, RuntimeError) as error:
        return Measured(system.name, stored=stored, flow=flow, obstacle=str(error).split("\n")[0][:150])
    scale = one_by_one.interval
    values, errors = (
        tuple((np.asarray(per_step) / scale).tolist()) for per_step in (spectrum.exponents, spectrum.stderr)
    )
    return Measured(system.name, values, errors, divergence, stored, flow, times=times, divergence_error=spread)


def mean_divergence(system: KnownSystem, state: Tensor, steps: int) -> tuple[float, float]:
    """Return the mean, and its standard error over trajectories, of the trace of the equation's Jacobian (of a map, of
    log |det J|), in nats per unit of time: what the exponents add up to, found without following any direction."""
    means, every = [], max(1, steps // 400)
    walk = StepSystem(system, None, state)
    walk.compile(steps)
    for step in range(0, steps, every):
        if step >= steps // 4:
            means.append(_traces(system, state) if isinstance(system, Flow) else _log_volumes(system, state))
        if walk.program is None:
            for _ in range(every):
                state = system.advance(state)
        else:
            state, _ = walk.program.run(state, None, every, [False] * len(state), step)
    each = torch.stack(means).mean(dim=0)
    return float(each.mean()), float(each.std() / len(each) ** 0.5)


def _traces(system: Flow, state: Tensor) -> Tensor:
    """By central differences of all columns at once: forward mode takes a hundred times as long."""
    distance = 1e-5 * (1 + state.abs())
    shifts = torch.diag_embed(distance)  # (trajectories, size, size): a shift of each coordinate
    both = torch.cat([state.unsqueeze(1) + shifts, state.unsqueeze(1) - shifts]).flatten(0, 1)
    ahead, behind = system.velocity(both).unflatten(0, (2, len(state), system.size)).unbind(0)
    return ((ahead - behind) / (2 * distance).unsqueeze(-1)).diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _log_volumes(system: KnownSystem, state: Tensor) -> Tensor:
    columns = []
    for column in range(system.size):
        direction = torch.zeros_like(state)
        direction[:, column] = 1
        columns.append(torch.func.jvp(system.advance, (state,), (direction,))[1])
    return torch.linalg.slogdet(torch.stack(columns, dim=-1))[1]
