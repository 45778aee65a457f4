"""Means, intervals, and plain words about who wins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.metrics import METRICS, Measurement

_LOWEST = {"rank_correlation": -1.0, "overall_rank_correlation": -1.0}
FEWEST_SPLITS = 3
"""With fewer splits no interval is shown: Student's t then says more about the number of splits than about networks."""


@dataclass(frozen=True)
class Summary:
    """A metric of a classifier at an epoch: its mean over splits and the 95 % interval of that mean."""

    classifier: str
    kind: str
    epoch: int
    metric: str
    mean: float
    low: float
    high: float

    @property
    def shown(self) -> str:
        """Mean and interval, as shown to people."""
        return f"{self.mean:.3f}" + ("" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]")


def corrected_interval(values: np.ndarray, test_to_train: float) -> tuple[float, float, float]:
    """Return mean and 95 % interval of values (splits,) over random splits, which share networks: the variance of the
    mean is taken as s^2 (1 / splits + test / train), with Student's t of splits - 1 degrees of freedom.

    Nadeau & Bengio, Inference for the generalization error, 2003. NaNs are left out; with fewer than three splits
    the interval is NaN.
    """
    values = values[~np.isnan(values)]
    if len(values) < FEWEST_SPLITS:
        return float(values.mean()) if len(values) else math.nan, math.nan, math.nan
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) * math.sqrt(1 / len(values) + test_to_train))
    mean = float(values.mean())
    return mean, mean - half, mean + half


def summarise(measurements: Sequence[Measurement]) -> list[Summary]:
    """Summarise every metric of every classifier at every epoch over the splits; intervals are clipped to the
    metric's range."""
    groups: dict[tuple[str, str, int], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.classifier, measurement.kind, measurement.epoch), []).append(measurement)
    summaries = []
    for (classifier, kind, epoch), members in groups.items():
        ratio = float(np.mean([measurement.test_networks / measurement.train_networks for measurement in members]))
        for metric in METRICS:
            mean, low, high = corrected_interval(
                np.array([getattr(measurement, metric) for measurement in members]), ratio
            )
            low, high = (low, high) if math.isnan(low) else (max(low, _LOWEST.get(metric, 0.0)), min(high, 1.0))
            summaries.append(Summary(classifier, kind, epoch, metric, mean, low, high))
    return summaries


class Standing(NamedTuple):
    """A classifier at an epoch, with the summary of each of its metrics by name."""

    classifier: str
    kind: str
    metrics: dict[str, Summary]


def standings(summaries: Sequence[Summary], epoch: int) -> list[Standing]:
    """Return the classifiers at an epoch, best F1 first."""
    standing: dict[str, Standing] = {}
    for summary in summaries:
        if summary.epoch == epoch:
            of_classifier = standing.setdefault(summary.classifier, Standing(summary.classifier, summary.kind, {}))
            of_classifier.metrics[summary.metric] = summary
    return sorted(standing.values(), key=lambda summary: -summary.metrics["f1"].mean)


def epoch_of_outcome(goal: str, last_epoch: int) -> int | None:
    """Return the epoch at which the current loss is the outcome itself: the last one where the study's goal is the
    loss, None where it is something else."""
    return last_epoch if goal == "loss" else None


def finalists(summaries: Sequence[Summary], epoch: int, outcome_epoch: int | None) -> tuple[Summary, Summary] | None:
    """Return the F1 at an epoch of the best classifier of spectra and of the best baseline; None where either is
    missing.

    At `outcome_epoch` (see `epoch_of_outcome`) what looks at the current loss is left out of the contest.
    """
    outcomes = {name for name, classifier in classifiers.items() if classifier.uses_loss}
    f1 = {
        (summary.classifier, summary.kind): summary
        for summary in summaries
        if summary.epoch == epoch and summary.metric == "f1"
    }
    entries = [summary for summary in f1.values() if not (epoch == outcome_epoch and summary.classifier in outcomes)]
    spectrum = max(
        (summary for summary in entries if summary.kind == "spectrum"), key=lambda summary: summary.mean, default=None
    )
    baseline = max(
        (summary for summary in entries if summary.kind == "baseline"), key=lambda summary: summary.mean, default=None
    )
    return None if spectrum is None or baseline is None else (spectrum, baseline)
