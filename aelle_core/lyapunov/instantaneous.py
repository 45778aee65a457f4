"""Growth step by step: at which inputs does a network separate states, and at which does it forget?"""

from typing import TYPE_CHECKING

import numpy as np

from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.lyapunov.result import LyapunovSpectrum


def instantaneous_exponents(spectrum: "LyapunovSpectrum") -> tuple[np.ndarray, np.ndarray]:
    """Return the last step of each record, (records,), and the exponents of the steps since the record before,
    (records, k) in nats per step: with running=1 those of single steps. Their mean over steps is the spectrum.

    A negative one says that the step merges states along a direction: at that input the network forgets. Directions
    are those that the tangents have turned to by then, so that a `warmup` before what is looked at helps. A direction
    that has died stays at -inf. Exponents are means over the sequences: give one sequence to see its own.

    Raises UserError where nothing was recorded.

    >>> import torch
    >>> from aelle_core import lyapunov_spectrum
    >>> from aelle_core.lyapunov.instantaneous import instantaneous_exponents
    >>> inputs = torch.tensor([0.5, 0.0, -2.0]).view(1, 3, 1)
    >>> step = lambda x, h: h * torch.exp(x)
    >>> found = lyapunov_spectrum(step, inputs, running=1, initial_state=torch.ones(1, 1))
    >>> instantaneous_exponents(found)[1].ravel().round(6)  # the third input makes it forget
    array([ 0.5,  0. , -2. ])

    Finite-time exponents of one step: Pikovsky & Politi, Lyapunov Exponents, 2016, section 5.
    """
    if spectrum.running is None or spectrum.running_steps is None:
        raise UserError("no finite-time exponents were recorded: expected lyapunov_spectrum(..., running=1)")
    steps = np.asarray(spectrum.running_steps)
    sums = spectrum.running * steps[:, None]
    before = np.concatenate([np.zeros((1, sums.shape[1])), sums[:-1]])
    lengths = np.diff(np.concatenate([[0], steps]))
    with np.errstate(invalid="ignore"):
        exponents = (sums - before) / lengths[:, None]
    return steps, np.where(np.isneginf(before), -np.inf, exponents)
