"""What a spectrum says of gradients over a sequence, in plain words."""

import math
from typing import TYPE_CHECKING

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.lyapunov.result import LyapunovSpectrum

SURVIVES = 0.01
"""The share of a gradient that must arrive for its direction to count as alive."""
EXPLODES = 100.0
"""The growth from which on a gradient counts as exploding."""


def growth_over(exponents: np.ndarray, steps: int) -> np.ndarray:
    """Return e^(exponent * steps), (k,): how much a gradient along each direction grows over `steps` steps."""
    with np.errstate(over="ignore"):
        return np.exp(exponents * steps)


def horizon(exponents: np.ndarray) -> float:
    """Return the steps after which the slowest of the exponents (k,) has kept 1 % of a gradient (or grown a
    hundredfold).

    Infinite where the largest exponent is 0, 0 where all directions are dead.
    """
    largest = float(exponents[0])
    if largest == 0:
        return math.inf
    return 0.0 if math.isinf(largest) else math.log(EXPLODES) / abs(largest)


def summary(spectrum: "LyapunovSpectrum", steps: int) -> str:
    """Answer in plain words: do gradients vanish or explode over `steps` steps, how far do they reach, what helps?

    Raises UserError where `steps` is not a whole number of at least 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise UserError(f"steps={steps!r}: expected a whole number of at least 1")
    if spectrum.status != "ok":
        return "Weights or states are not finite: there is no spectrum, and gradients are not finite either."
    exponents = spectrum.exponents
    growth = growth_over(exponents, steps)
    alive = int((growth >= SURVIVES).sum())
    of = (
        counted(len(exponents), "direction")
        if len(exponents) == spectrum.size
        else f"the {counted(len(exponents), 'direction')} followed"
    )
    reach = horizon(exponents)
    over, reached = counted(steps, "step"), counted(f"{reach:.3g}", "step")
    largest = f"the largest exponent is {exponents[0]:+.3g} nats per step"
    if growth[0] > EXPLODES:
        verdict = f"Gradients explode over {over}: {largest}, a growth of e^{exponents[0] * steps:.0f}."
        advice = (
            "To tame them: a smaller initial scale, clipping of gradients, or truncated backpropagation of at most "
            f"{counted(max(1, round(reach)), 'step')}."
        )
    elif alive == 0:
        verdict = f"Gradients vanish over {over}: {largest}, and no direction keeps even {SURVIVES:.0%} of a gradient."
        advice = (
            "To keep more: an orthogonal start with small input weights, a forget-gate bias of 1 or more (LSTM), a "
            "larger initial scale, or shorter sequences."
        )
    else:
        keep = "keeps" if alive == 1 else "keep"
        verdict = f"Gradients reach back over {over}: {alive} of {of} {keep} at least {SURVIVES:.0%} of a gradient."
        advice = "Nothing needs to change for the sake of gradients."
    if math.isinf(reach):
        far = "The slowest direction neither grows nor shrinks."
    elif exponents[0] > 0:
        far = f"Along the fastest direction a gradient grows a hundredfold every {reached}."
    else:
        far = f"The horizon is {reached}: from there the slowest direction keeps {SURVIVES:.0%} of a gradient."
    dead = spectrum.dead_directions
    gone = f" {dead} {'direction is' if dead == 1 else 'directions are'} dead: no gradient passes." if dead else ""
    return f"{verdict} {far}{gone} {advice}"
