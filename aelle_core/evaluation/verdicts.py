"""In plain words who wins."""

from collections.abc import Sequence

from aelle_core.evaluation.gains import gain
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.summary import Summary, finalists, summarise


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
