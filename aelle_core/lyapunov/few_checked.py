"""The check for rounding in a few of many sequences, and what it says about the others.

A network's sequences share its weights, and mostly their condition too. So two of them have second copies. What these
show holds for another sequence, times what its worse condition may have added, unless something speaks against it:
directions too far apart for float64, the sum rule, more growth than any checked sequence has, or a unit so near to a
kink of its step that rounding may decide on which side it is. Then that sequence gets a second copy, too; all do where
what was checked is itself not sound, and where a step has kinks and does not tell at which states they are.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from aelle_core.lyapunov import sum_rule
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.systems import System

FEWEST = 8
"""Sequences from which on a few are checked for all."""
CHECKED = 2
SMALLEST = 8
"""Dimensions below which second copies of all cost little."""

_SURE = 1e-9  # nats per step: an error that is estimated as larger is measured
_STRAY_FACTOR = 10.0  # times as far as the checked sequences' copies, others may stray


def growths_by_few(
    system: System, run: Callable[..., Growth], run_with_few: Callable[..., tuple[Growth, Growth] | None]
) -> list[tuple[Growth, int]] | None:
    """Return the growth of every network of a pack, and its index there, checked in few sequences where that tells
    enough; None where there are too few sequences, the system cannot be taken apart, or most networks need a check of
    every sequence.

    `run` follows the tangents of a system, run(system, check=True), and `run_with_few` those of all sequences with
    second copies of few: run_with_few(system, CHECKED, hopeless=...), as `engine.evolve_with_few` does.
    """
    if system.sequences < FEWEST or system.size < SMALLEST or not system.knows_kinks:
        return None

    def hopeless(checked: Growth, others: Growth) -> bool:
        _, settled = _judged(checked, others)
        most = 2 * settled.sum(dim=1) >= settled.shape[1]
        return 2 * int(most.sum()) < system.networks

    found = run_with_few(system, CHECKED, hopeless=hopeless)
    if found is None:
        return None
    checked, others = found
    errors, settled = _judged(checked, others)
    whole = Growth.joined([checked, _with_errors(others, errors)])
    growths = {network: (whole, network) for network in settled.all(dim=1).nonzero().flatten().tolist()}
    if doubtful := (~settled.all(dim=1)).nonzero().flatten().tolist():
        places = (CHECKED + (~settled[doubtful]).any(dim=0).nonzero().flatten()).tolist()
        rest = system.of_sequences(places)
        assert rest is not None
        again = run(rest if len(doubtful) == system.networks else rest.in_double(doubtful), check=True)
        whole = whole.of_networks(doubtful).with_sequences(places, again)
        growths |= {network: (whole, index) for index, network in enumerate(doubtful)}
    return [growths[network] for network in range(system.networks)]


def _sound(checked: Growth) -> Tensor:
    """Return (networks,) whether what was checked speaks for the others, too."""
    assert checked.errors is not None
    sound = checked.finite.all(dim=1) & (checked.errors.flatten(1).amax(dim=1) <= _SURE)
    return sound & (checked.spreads.amax(dim=1) <= sum_rule.FURTHEST)  # else the others' would hardly be less


def _judged(known: Growth, others: Growth) -> tuple[Tensor, Tensor]:
    """Return the errors, nats per step, (networks, sequences, k), that unchecked sequences may have, the largest of a
    checked one times how much worse they are; and (networks, sequences) whether nothing speaks against them."""
    assert known.errors is not None
    factor = _error_factor(known, others)
    largest = known.errors.flatten(1).amax(dim=1).clamp(min=torch.finfo(torch.float64).eps)
    errors = largest.unsqueeze(1) * factor
    near = _STRAY_FACTOR * known.strays.amax(dim=1, keepdim=True) * factor
    small = (errors <= _SURE) & (others.spreads <= sum_rule.FURTHEST)
    obeyed = others.residuals.nan_to_num(nan=0.0, posinf=math.inf) <= sum_rule.ALLOWED
    settled = small & obeyed & (others.margins > near) | ~others.finite
    return errors.unsqueeze(-1).expand_as(others.logarithms), settled & _sound(known).unsqueeze(1)


def _error_factor(known: Growth, others: Growth) -> Tensor:
    """Return how many times as large errors of the others may be, (networks, sequences), as of those that are known: e
    to the power of what their tangents spread and rise more."""
    # Calm steps share factorisations, and spread the tangents as far as few bad ones: their paces differ even so.
    apart = torch.maximum(_excess(known.spreads, others.spreads), _excess(known.paces, others.paces))
    return (apart + _excess(known.rises, others.rises)).exp()


def _excess(known: Tensor, others: Tensor) -> Tensor:
    """Return how much more the others have than any that is known; all (networks, sequences), nats."""
    excess = others - known.amax(dim=1, keepdim=True)
    return excess.nan_to_num(nan=math.inf, posinf=math.inf).clamp(min=0)


def _with_errors(others: Growth, errors: Tensor) -> Growth:
    ceilings = others.logarithms + errors * others.steps
    return replace(others, errors=errors, ceilings=ceilings)
