"""What `lyapunov_spectrum` returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.lyapunov import export, horizon

if TYPE_CHECKING:
    from aelle_core.lyapunov.covariant import CovariantVectors

Status = Literal["ok", "non-finite", "diverged"]
Precision = Literal["exact", "fast", "extended"]


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """A Lyapunov spectrum, in nats per step.

    exponents           (k,) descending, the mean over sequences; -inf for a dead direction
    per_sequence        (batch, k), in the order of `exponents`
    stderr              (k,) standard error of the mean over sequences; of a single one by the means of ten to thirty
                        batches of its steps, NaN below 100 steps
    resolved            (k,) False where rounding may have moved the exponent by more than 1e-6 nats per step (1e-3 with
                        precision "fast"); None when the check was turned off. Reasons are saturation, underflow and,
                        on long chaotic trajectories, that rounding decides which trajectory is followed: there
                        `rounding_error` is about as large as `stderr`, and that is all it means
    rounding_error      (k,) an estimate, on the large side, of what rounding did to the exponent, nats per step: the
                        worst sequence's; infinite after an underflow; None when the check was turned off
    sum_rule_residual   largest |sum of log |r| - log |det J|| of up to eight steps, at every 64th in one sequence in
                        turn: 0 up to rounding for a correct computation; NaN when k is less than the state's size
    dead_directions     how many exponents are -inf
    status              "ok"; "non-finite" when weights or states were; "diverged" when a closed loop of finite weights
                        left the finite numbers. Sequences that did have NaN in `per_sequence`, and the exponents
                        are of the others, NaN where none is left
    steps               steps that were counted, per sequence; of sequences of different lengths in the longest
    size                dimensions of the tangent space; k of them were followed
    precision           "exact" (float64), "fast" (float32 tangents) or "extended" (tangents in many digits): what was
                        used in the end
    running             (records, k) finite-time exponents, the mean over sequences, after `running_steps` (records,)
                        counted steps; None unless asked for
    covariant           covariant Lyapunov vectors; None unless asked for by vectors="covariant"
    lengths             (batch,) counted steps of each sequence; None where all have `steps`
    """

    exponents: np.ndarray
    per_sequence: np.ndarray
    stderr: np.ndarray
    resolved: np.ndarray | None
    rounding_error: np.ndarray | None
    sum_rule_residual: float
    dead_directions: int
    status: Status
    steps: int
    size: int
    precision: Precision = "exact"
    running: np.ndarray | None = None
    running_steps: np.ndarray | None = None
    covariant: "CovariantVectors | None" = None
    lengths: np.ndarray | None = None

    @property
    def maximum(self) -> float:
        """The largest exponent: above 0 nearby states separate, below 0 they merge."""
        return float(self.exponents[0])

    @property
    def mean(self) -> float:
        """The mean exponent, -inf when a direction is dead."""
        return float(self.exponents.mean())

    @property
    def kaplan_yorke_dimension(self) -> float:
        """Return j + (sum of the first j exponents) / |exponent j+1| for the largest j with a non-negative sum.

        NaN when fewer exponents than needed were followed. Kaplan & Yorke 1979.
        """
        if self.status != "ok":
            return float("nan")
        sums = np.cumsum(self.exponents)
        negative = np.flatnonzero(sums < 0)
        if len(negative) == 0:
            return float(self.size) if len(sums) == self.size else float("nan")
        j = int(negative[0])
        return 0.0 if j == 0 else j + float(sums[j - 1] / abs(self.exponents[j]))

    @property
    def entropy_rate(self) -> float:
        """The sum of the positive exponents, nats per step: an upper bound of the Kolmogorov-Sinai entropy (Pesin;
        Ruelle 1978). NaN when the last followed exponent is still positive and more remain."""
        if self.status != "ok" or (len(self.exponents) < self.size and self.exponents[-1] > 0):
            return float("nan")
        return float(self.exponents[self.exponents > 0].sum())

    def summary(self, steps: int | None = None) -> str:
        """Answer in plain words whether gradients vanish or explode over `steps` steps: how many directions survive,
        how far they reach, and what helps. By default over the counted steps. Raises UserError on a bad count."""
        return horizon.summary(self, self.steps if steps is None else steps)

    def horizon(self) -> float:
        """Return the steps after which the slowest direction keeps 1 % of a gradient, or has grown it a hundredfold."""
        return horizon.horizon(self.exponents) if self.status == "ok" else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return every field as numbers, texts and lists."""
        return export.to_dict(self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a row for each exponent. Raises UserError where pandas is not installed."""
        return export.to_pandas(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the exponents, (k,), so that numpy functions take a spectrum as it stands."""
        return np.array(self.exponents, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        return export.to_html(self)

    @property
    def steps_shown(self) -> str:
        """The counted steps in words: one number, or the range over sequences."""
        return str(self.steps) if self.lengths is None else f"{self.lengths.min()} to {self.lengths.max()}"

    def interpolate(self, size: int) -> np.ndarray:
        """Return the exponents at `size` points evenly over their index, linearly between neighbours: (size,)."""
        return interpolate_spectrum(self.exponents, size)

    def plot(self, axes: Any = None) -> Any:
        """Draw the exponents over their index, with standard errors; hollow where rounding may have spoilt them.
        Returns the matplotlib axes."""
        from aelle_core.lyapunov.plots import plot_spectrum

        return plot_spectrum(self, axes)

    def plot_running(self, axes: Any = None) -> Any:
        """Draw how the finite-time exponents settle over the steps. Returns the matplotlib axes.

        Raises UserError when they were not recorded (`running=`).
        """
        from aelle_core.lyapunov.plots import plot_running

        return plot_running(self, axes)

    def plot_instantaneous(self, labels: Sequence[str] | None = None, leading: int = 1, axes: Any = None) -> Any:
        """Draw the growth of single steps over the inputs that `labels` name: bars below zero are where the network
        forgets. Returns the matplotlib axes. Raises UserError when steps were not recorded (`running=1`)."""
        from aelle_core.lyapunov.plots import plot_instantaneous

        return plot_instantaneous(self, labels, leading, axes)

    def __repr__(self) -> str:
        if self.status != "ok":
            return f"LyapunovSpectrum(status={self.status!r}, size={self.size})"
        shown = ", ".join(f"{value:.4g}" for value in self.exponents[:3])
        more = f", ... {self.exponents[-1]:.4g}" if len(self.exponents) > 3 else ""
        return (
            f"LyapunovSpectrum([{shown}{more}] nats/step, k={len(self.exponents)} of {self.size}, "
            f"{len(self.per_sequence)} x {counted(self.steps_shown, 'step')})"
        )
