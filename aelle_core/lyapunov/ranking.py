"""From what has grown along trajectories to a spectrum: exponents in order, and which of them are resolved."""

import numpy as np

from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.precision import RESOLUTION
from aelle_core.lyapunov.result import LyapunovSpectrum, Precision


def spectrum_of(growth: Growth, network: int, precision: Precision, size: int) -> LyapunovSpectrum:
    """Return the spectrum of one network of a pack: exponents in order, with what is known of their errors."""
    finite = growth.finite[network].cpu().numpy()
    per_sequence = growth.per_step(growth.logarithms[network]).cpu().numpy()
    lengths = None if growth.lengths is None else growth.lengths.cpu().numpy()
    per_sequence[~finite] = np.nan
    count, k = int(finite.sum()), per_sequence.shape[1]
    if count == 0:
        nothing = np.full_like(per_sequence, np.nan)
        checked = growth.errors is not None
        return LyapunovSpectrum(
            exponents=nothing[0],
            per_sequence=nothing,
            stderr=nothing[0],
            resolved=np.zeros(k, dtype=bool) if checked else None,
            rounding_error=np.full(k, np.inf) if checked else None,
            sum_rule_residual=float("nan"),
            dead_directions=0,
            status="non-finite",
            steps=growth.steps,
            size=size,
            precision=precision,
            lengths=lengths,
        )
    exponents = per_sequence[finite].mean(axis=0)
    order = np.argsort(-exponents, kind="stable")
    per_sequence = per_sequence[:, order]
    with np.errstate(invalid="ignore"):
        if count > 1:
            stderr = per_sequence[finite].std(axis=0, ddof=1) / np.sqrt(count)
        elif growth.batches is not None:
            batches = growth.batches[network, :, order].cpu().numpy()
            stderr = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
        else:
            stderr = np.full(k, np.nan)
    kept = growth.finite[network]
    errors = None if growth.errors is None else growth.errors[network, kept].amax(dim=0).cpu().numpy()[order]
    ceilings = growth.per_step(growth.ceilings[network])[kept].mean(dim=0).cpu().numpy()[order]
    running = None if growth.running is None else growth.running[:, network, kept].mean(dim=1).cpu().numpy()[:, order]
    return LyapunovSpectrum(
        exponents=exponents[order],
        per_sequence=per_sequence,
        stderr=stderr,
        resolved=None if errors is None else _resolved(exponents[order], errors, ceilings, RESOLUTION[precision]),
        rounding_error=errors,
        sum_rule_residual=float(growth.residuals[network, kept].amax()),
        dead_directions=int(np.isneginf(exponents).sum()),
        status="ok" if count == len(finite) else "non-finite",
        steps=growth.steps,
        size=size,
        precision=precision,
        running=running,
        running_steps=None if growth.running_steps is None else growth.running_steps.numpy(),
        lengths=lengths,
    )


def _resolved(exponents: np.ndarray, errors: np.ndarray, ceilings: np.ndarray, limit: float) -> np.ndarray:
    """Whether the exponent of each rank is right: its own error is small, and no spoilt exponent might belong on its
    other side, which would move it to another rank."""
    own = errors <= limit
    lower = np.where(errors < 0.1, exponents - 10 * np.minimum(errors, 0.1), -np.inf)[~own]
    disputed = ((lower <= exponents[:, None]) & (exponents[:, None] <= ceilings[~own])).any(axis=1)
    return own & ~disputed
