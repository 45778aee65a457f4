"""Which arithmetic a network's spectrum is computed in, and when it is computed again in a better one."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch

from aelle_core.lyapunov.engine import evolve, evolve_with_few
from aelle_core.lyapunov.few_checked import growths_by_few
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.result import Precision
from aelle_core.lyapunov.systems import System

RESOLUTION: dict[Precision, float] = {"exact": 1e-7, "fast": 1e-3, "extended": 1e-7}
"""Largest estimated error, nats per step, of what counts as resolved."""

Found: TypeAlias = list[tuple[Growth, int, Precision]]
"""Of every network: where it is, its index there, and the precision that was used."""

_FEWEST_BITS, _MOST_BITS = 256, 16384
_AGREEMENT = 1e-10  # nats per step between results in so many digits and in twice as many


def growth_of(
    system: System,
    k: int,
    steps: int,
    warmup: int,
    precision: Precision,
    check: bool,
    running: int | None = None,
    on_step: Callable[[int], object] | None = None,
) -> Found:
    """Follow k tangents of every network; see `lyapunov_spectrum` for the precisions."""
    run = partial(evolve, k=k, steps=steps, warmup=warmup, check=check, running=running, on_step=on_step)
    if precision == "fast":
        return _fast(system, run)
    if precision == "extended":
        return _extended(system, run, check)
    run = partial(run, dtype=torch.float64)
    with_few = partial(evolve_with_few, k=k, steps=steps, warmup=warmup, running=running, on_step=on_step)
    few = growths_by_few(system, run, with_few) if check else None
    if few is not None:
        return [(growth, index, "exact") for growth, index in few]
    growth = run(system)
    return [(growth, index, "exact") for index in range(system.networks)]


def _fast(system: System, run: Callable[..., Growth]) -> Found:
    """In float32; those networks whose condition does not allow it again in float64, where the system can be."""
    growth = run(system, dtype=torch.float32, abandon_above=10 * RESOLUTION["fast"])
    growths: Found = [(growth, index, "fast") for index in range(system.networks)]
    if growth.errors is None:
        return growths
    spoilt = (growth.errors > RESOLUTION["fast"]).flatten(1).any(dim=1) | ~growth.finite.all(dim=1)
    again = spoilt.nonzero().flatten().tolist()
    part = system.in_double(again) if again else None
    if again and part is None:
        growth = run(system, dtype=torch.float32)
        return [(growth, index, "fast") for index in range(system.networks)]
    if part is not None:
        growth = run(part, dtype=torch.float64)
        for index_of_pack, index in enumerate(again):
            growths[index] = (growth, index_of_pack, "exact")
    return growths


def _extended(system: System, run: Callable[..., Growth], check: bool) -> Found:
    """In float64; those networks that are not resolved again, with the digits doubled until they change nothing."""
    growths: Found = []
    again = list(range(system.networks))
    if check:
        growth = run(system, dtype=torch.float64)
        assert growth.errors is not None
        growths = [(growth, index, "exact") for index in range(system.networks)]
        spoilt = (growth.errors > RESOLUTION["exact"]).flatten(1).any(dim=1) & growth.finite.all(dim=1)
        again = [] if system.unchecked else spoilt.nonzero().flatten().tolist()
    if not again:
        return growths
    part = system if len(again) == system.networks else system.in_double(again)
    assert part is not None  # packs can be taken apart
    settled = _with_enough_digits(part.in_factors(), run)
    if not check:
        return [(settled, index_of_pack, "extended") for index_of_pack in again]
    for index_of_pack, index in enumerate(again):
        growths[index] = (settled, index_of_pack, "extended")
    return growths


def _with_enough_digits(system: System, run: Callable[..., Growth]) -> Growth:
    bits = _FEWEST_BITS
    growth = run(system, dtype=torch.float64, bits=bits)
    apart = torch.full_like(growth.logarithms, math.inf)
    while bits < _MOST_BITS and bool((apart > _AGREEMENT).any()):
        bits *= 2
        before, growth = growth.logarithms, run(system, dtype=torch.float64, bits=bits)
        same = (before == growth.logarithms) | before.isnan()
        apart = torch.where(same, 0.0, (growth.logarithms - before).abs() / growth.steps)
    if growth.errors is None:
        return growth
    return dataclasses.replace(growth, errors=torch.maximum(growth.errors, apart))
