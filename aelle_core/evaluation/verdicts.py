"""Which classifier does better on the same splits, in numbers and in plain words."""

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
    return corrected_interval(np.array(differences), ratio)


def gain_sentence(found: tuple[float, float, float], row: str, over: str, metric: str) -> str:
    """In words which of the two does better, with the gain and its interval."""
    mean, low, high = found
    if low > 0:
        verdict = f"{row!r} does better than {over!r}"
    elif high < 0:
        verdict = f"{row!r} does worse than {over!r}"
    else:
        verdict = f"{row!r} and {over!r} cannot be told apart"
    return f"{verdict}: {metric} {mean:+.3f} ({low:+.3f} to {high:+.3f})."


def verdicts(measurements: Sequence[Measurement], last_epoch: int) -> list[str]:
    """Plain sentences: before training and at its end, the best spectrum classifier against the best baseline. One wins
    where the interval of what it has more, on the same splits, is above zero.

    At the end the current loss is the outcome itself, so it is left out of the contest there.
    """
    sentences, summaries = [], summarise(measurements)
    for epoch, moment in ((0, "Before any training"), (last_epoch, f"After the last epoch ({last_epoch})")):
        if (best := finalists(summaries, epoch, last_epoch)) is None:
            continue
        spectrum, baseline = best
        mean, low, high = gain(measurements, spectrum.classifier, baseline.classifier, epoch)
        wins = "the spectrum wins" if low > 0 else "the baseline wins" if high < 0 else "the two cannot be told apart"
        sentences.append(
            f"{moment}, {wins}: {_f1(spectrum)} against {_f1(baseline)}, each the best of its kind; on the same splits "
            f"{mean:+.3f} ({low:+.3f} to {high:+.3f})."
        )
    sentences.append(
        "At the end of training the current loss is the outcome itself: its F1 there says nothing and is left out."
    )
    return sentences


def _f1(one: Summary) -> str:
    return f"{one.classifier} (F1 {one.mean:.3f}, {one.low:.3f} to {one.high:.3f})"
