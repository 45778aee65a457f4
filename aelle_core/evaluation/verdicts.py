"""Which classifier does better on the same splits, in numbers and in plain words."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from aelle_core.evaluation.metrics import COMPARED, METRICS, Measurement
from aelle_core.evaluation.summary import Summary, corrected_interval, epoch_of_outcome, finalists, summarise


def gain(
    measurements: Sequence[Measurement], row: str, over: str, epoch: int, metric: str = "f1"
) -> tuple[float, float, float]:
    """Mean and 95 % interval (Nadeau & Bengio) of what one classifier has more than another, split by split."""
    measured = {
        (measurement.classifier, measurement.split): measurement
        for measurement in measurements
        if measurement.epoch == epoch
    }
    splits = sorted({split for _, split in measured})
    differences = [getattr(measured[row, split], metric) - getattr(measured[over, split], metric) for split in splits]
    ratio = float(
        np.mean([measured[row, split].test_networks / measured[row, split].train_networks for split in splits])
    )
    mean, low, high = corrected_interval(np.array(differences), ratio)
    least = -2.0 if "correlation" in metric else -1.0  # of a difference of two such numbers
    return (mean, low, high) if math.isnan(low) else (mean, max(low, least), min(high, -least))


def difference_in_words(
    measurements: Sequence[Measurement], row: str, over: str, epoch: int, metrics: Sequence[str] = COMPARED
) -> str:
    """In words which of the two does better at an epoch, with what it gains by each metric; see `gains_in_words`."""
    return gains_in_words({metric: gain(measurements, row, over, epoch, metric) for metric in metrics}, row, over)


def gains_in_words(gains: Mapping[str, tuple[float, float, float]], row: str, over: str) -> str:
    """In words which of the two does better, with the gain by each metric (mean and interval, as `gain` returns).

    A metric that neither has, such as the rank within cells of whoever says the same of a whole cell, is left out.
    """
    known = {METRICS[metric]: difference for metric, difference in gains.items() if not math.isnan(difference[0])}
    numbers = ", ".join(f"{name} {_signed(difference)}" for name, difference in known.items())
    if all(math.isnan(low) for _, low, _ in known.values()):
        return f"Too few splits to tell {row!r} and {over!r} apart: {numbers or 'nothing was measured'}."
    better = [name for name, (_, low, _) in known.items() if low > 0]
    worse = [name for name, (_, _, high) in known.items() if high < 0]
    if not better and not worse:
        return f"{row!r} and {over!r} cannot be told apart: {numbers}."
    word, first = ("better", better) if better else ("worse", worse)
    by = "" if len(first) == len(known) else f" by {' and '.join(first)}"
    but = f", but worse by {' and '.join(worse)}" if better and worse else ""
    return f"{row!r} does {word} than {over!r}{by}{but}: {numbers}."


def _signed(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    return f"{mean:+.3f}" + ("" if math.isnan(low) else f" ({low:+.3f} to {high:+.3f})")


def verdicts(measurements: Sequence[Measurement], last_epoch: int, goal: str = "loss") -> list[str]:
    """Plain sentences: before training and at its end, what a person should conclude about spectra, then the numbers
    behind it: the best spectrum classifier against the best baseline on the same splits.

    Where the `goal` is the loss, the loss at the end is the outcome itself, and is left out of the contest there.
    """
    summaries, outcome_epoch = summarise(measurements), epoch_of_outcome(goal, last_epoch)
    sentences = conclusion(summaries, last_epoch)
    for epoch, moment in ((0, "before any training"), (last_epoch, f"after the last epoch ({last_epoch})")):
        if (best := finalists(summaries, epoch, outcome_epoch)) is None:
            continue
        spectrum, baseline = best
        difference = gain(measurements, spectrum.classifier, baseline.classifier, epoch)
        ranks = gain(measurements, spectrum.classifier, baseline.classifier, epoch, "overall_rank_correlation")
        numbers = f"The best of each kind: {_f1(spectrum)} against {_f1(baseline)}; on the same splits "
        numbers += f"{_signed(difference)}"
        numbers += "" if math.isnan(ranks[0]) else f", rank correlation {_signed(ranks)}"
        _, low, high = difference
        if math.isnan(low):
            sentences.append(f"Too few splits to judge {moment}. {numbers}.")
            continue
        said = (
            f"Use the spectrum {moment}: it predicts better than all that is known without it"
            if low > 0
            else f"Do not use the spectrum {moment}: what is known without it predicts better"
            if high < 0
            else f"The spectrum is as good as what is known without it {moment}, within these networks' noise"
        )
        sentences.append(f"{said}{_by_rank(ranks, better=low > 0, worse=high < 0)}. {numbers}.")
    if outcome_epoch is not None:
        sentences.append(
            "At the end of training the current loss is the outcome itself: its F1 there says nothing and is left out."
        )
    return sentences


def _by_rank(ranks: tuple[float, float, float], *, better: bool, worse: bool) -> str:
    """Return what the ranks' gain says against a verdict by F1; nothing where it agrees or is not known."""
    _, low, high = ranks
    if low > 0 and not better:
        return ", but the spectrum ranks networks better"
    return ", but the spectrum ranks networks worse" if high < 0 and not worse else ""


def conclusion(summaries: Sequence[Summary], last_epoch: int) -> list[str]:
    """Return what AeLLE is worth on networks that it was not fitted to, in one sentence: after training and before,
    beside the best guess that knows no spectra; none where it was not measured.

    A share is the balanced accuracy: 50 of 100 for a coin, however the outcomes are divided.
    """
    after, before = (_metrics(summaries, "AeLLE predictor", epoch) for epoch in (last_epoch, 0))
    if math.isnan(after.get("balanced_accuracy", math.nan)):
        return []
    sentence = (
        f"From the spectrum alone, without the loss, AeLLE is right about {_of_hundred(after)} of 100 trained networks "
        "that it has never seen, where a coin is right about 50"
    )
    if not math.isnan(before.get("balanced_accuracy", math.nan)) and last_epoch > 0:
        sentence += f"; before any training about {_of_hundred(before)}"
        best = finalists(summaries, 0, None)
        rival = {} if best is None else _metrics(summaries, best[1].classifier, 0)
        if best is not None and not math.isnan(rival["balanced_accuracy"]):
            sentence += f", and the best guess without spectra ({best[1].classifier}) about {_of_hundred(rival)}"
    return [sentence + "."]


def _metrics(summaries: Sequence[Summary], classifier: str, epoch: int) -> dict[str, float]:
    return {
        summary.metric: summary.mean
        for summary in summaries
        if (summary.classifier, summary.epoch) == (classifier, epoch)
    }


def _of_hundred(metrics: dict[str, float]) -> str:
    return f"{100 * metrics['balanced_accuracy']:.0f}"


def _f1(summary: Summary) -> str:
    interval = "" if math.isnan(summary.low) else f", {summary.low:.3f} to {summary.high:.3f}"
    return f"{summary.classifier} (F1 {summary.mean:.3f}{interval})"
