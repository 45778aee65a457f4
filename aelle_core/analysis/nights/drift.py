"""Whether a night differs from the one before by more than chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from aelle_core.evaluation import NetworkExamples, Summary

_OWN = "networks of the night"
_CHECKED = "f1"


@dataclass(frozen=True)
class Check:
    """A metric tonight beside the night before, and whether it has drifted."""

    tonight: Summary
    before: Summary
    drifted: bool

    @property
    def name(self) -> str:
        """What is checked, as shown to people."""
        return f"{self.tonight.metric} of {self.tonight.classifier}"

    def __str__(self) -> str:
        return f"{self.name}: {self.tonight.shown}, the night before {self.before.shown}"


def checks(tonight: Sequence[Summary], before: Sequence[Summary], epoch: int) -> list[Check]:
    """Return the F1 of every classifier after `epoch`, and what is known of a night's own networks, beside the last
    night's.

    A classifier is fitted to the networks of all nights, and tonight's hold last night's among them. Its F1 has drifted
    when tonight's mean lies outside last night's 95 % interval. The two means share data and so differ by less than
    independent ones would: this raises fewer false alarms than one in twenty, and notices the less the more nights
    there are. The night's own networks are drawn anew and independent of earlier ones. They have drifted when the 95 %
    interval of the difference of the two means, whose half-width is that of both in quadrature, leaves out 0: one
    false alarm in twenty nights for each metric, and more where the draw of the task's examples matters.

    What has no interval, or one without width, is not checked.
    """
    earlier = {
        (summary.classifier, summary.kind, summary.metric): summary for summary in before if summary.epoch == epoch
    }
    result = []
    for summary in tonight:
        other = earlier.get((summary.classifier, summary.kind, summary.metric))
        if summary.epoch != epoch or other is None or not (summary.kind == _OWN or summary.metric == _CHECKED):
            continue
        if other.high > other.low and not math.isnan(summary.mean):
            result.append(Check(summary, other, _outside(summary, other)))
    return result


def _outside(summary: Summary, other: Summary) -> bool:
    if summary.kind != _OWN:
        return not other.low <= summary.mean <= other.high
    half = math.hypot(summary.high - summary.low, other.high - other.low) / 2
    return abs(summary.mean - other.mean) > half


def network_summaries(final: NetworkExamples) -> list[Summary]:
    """Means over a night's own networks at the end of their training, with 95 % intervals: of the logarithm of their
    final loss and of their largest exponent (nats per step)."""
    values = {"largest exponent": np.max(final.spectra, axis=1)}
    if final.final_loss.min() > 0:
        values["log final loss"] = np.log(final.final_loss)
    return [
        Summary(_OWN, _OWN, final.epoch, name, *_interval(differences)) for name, differences in sorted(values.items())
    ]


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval of independent values, finite ones alone: a dead direction's exponent is -inf."""
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half
