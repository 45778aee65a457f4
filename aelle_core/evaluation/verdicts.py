"""Which classifier does better on the same splits, in numbers and in plain words."""

import math
from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.summary import Summary, corrected_interval, finalists, summarise


def gain(
    measurements: Sequence[Measurement], row: str, over: str, epoch: int, metric: str = "f1"
) -> tuple[float, float, float]:
    """Mean and 95 % interval (Nadeau & Bengio) of what one classifier has more than another, split by split."""
    found = {(one.classifier, one.split): one for one in measurements if one.epoch == epoch}
    splits = sorted({split for _, split in found})
    differences = [getattr(found[row, split], metric) - getattr(found[over, split], metric) for split in splits]
    ratio = float(np.mean([found[row, split].test_networks / found[row, split].train_networks for split in splits]))
    mean, low, high = corrected_interval(np.array(differences), ratio)
    least = -2.0 if "correlation" in metric else -1.0  # of a difference of two such numbers
    return (mean, low, high) if math.isnan(low) else (mean, max(low, least), min(high, -least))


def gain_sentence(found: tuple[float, float, float], row: str, over: str, metric: str) -> str:
    """In words which of the two does better, with the gain and its interval."""
    mean, low, high = found
    if math.isnan(low):
        return f"Too few splits to tell {row!r} and {over!r} apart: {metric} {mean:+.3f} on average."
    if low > 0:
        verdict = f"{row!r} does better than {over!r}"
    elif high < 0:
        verdict = f"{row!r} does worse than {over!r}"
    else:
        verdict = f"{row!r} and {over!r} cannot be told apart"
    return f"{verdict}: {metric} {mean:+.3f} ({low:+.3f} to {high:+.3f})."


def verdicts(measurements: Sequence[Measurement], last_epoch: int) -> list[str]:
    """Plain sentences: before training and at its end, what a person should conclude about spectra, then the numbers
    behind it: the best spectrum classifier against the best baseline on the same splits.

    At the end the current loss is the outcome itself, so it is left out of the contest there.
    """
    summaries = summarise(measurements)
    sentences = _worth(summaries, last_epoch)
    for epoch, moment in ((0, "before any training"), (last_epoch, f"after the last epoch ({last_epoch})")):
        if (best := finalists(summaries, epoch, last_epoch)) is None:
            continue
        spectrum, baseline = best
        mean, low, high = gain(measurements, spectrum.classifier, baseline.classifier, epoch)
        numbers = f"{_f1(spectrum)} against {_f1(baseline)}, each the best of its kind"
        if math.isnan(low):
            sentences.append(f"Too few splits to judge {moment}: {numbers}; difference {mean:+.3f}.")
            continue
        said = (
            f"Use the spectrum {moment}: it predicts better than all that is known without it"
            if low > 0
            else f"Do not use the spectrum {moment}: what is known without it predicts better"
            if high < 0
            else f"The spectrum is as good as what is known without it {moment}, within these networks' noise"
        )
        sentences.append(f"{said}. {numbers}; on the same splits {mean:+.3f} ({low:+.3f} to {high:+.3f}).")
    sentences.append(
        "At the end of training the current loss is the outcome itself: its F1 there says nothing and is left out."
    )
    return sentences


def _worth(summaries: Sequence[Summary], epoch: int) -> list[str]:
    """Return what AeLLE is worth on networks that it was not fitted to, in one sentence; none where it was not
    measured."""
    found = {one.metric: one.mean for one in summaries if (one.classifier, one.epoch) == ("AeLLE predictor", epoch)}
    if not found or math.isnan(found["balanced_accuracy"]):
        return []
    return [
        f"From the spectrum alone, without the loss, AeLLE is right about {100 * found['balanced_accuracy']:.0f} of "
        "100 trained networks that it has never seen, where a coin is right about 50; its ranking of them has a "
        f"correlation of {found['overall_rank_correlation']:.2f} with their final losses."
    ]


def _f1(one: Summary) -> str:
    interval = "" if math.isnan(one.low) else f", {one.low:.3f} to {one.high:.3f}"
    return f"{one.classifier} (F1 {one.mean:.3f}{interval})"
