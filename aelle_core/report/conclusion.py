"""What a study found, in one sentence."""

import math

from aelle_core.evaluation import finalists
from aelle_core.report.data import ReportData

_AELLE = "AeLLE predictor"


def conclusion(data: ReportData) -> str:
    """Return in one sentence how often AeLLE is right about networks that it has not seen, after and before training,
    and how often the best guess is that knows no spectra.

    A share is the balanced accuracy: 50 of 100 for a coin, however the outcomes are divided.
    """
    after, before = _of_hundred(data, _AELLE, data.last_epoch), _of_hundred(data, _AELLE, 0)
    if after is None:
        low, high = data.final.final_loss.min(), data.final.final_loss.max()
        return (
            f"The {len(data.final)} networks ended with losses from {low:.3g} to {high:.3g}; they are too few to say "
            "how well their spectra tell good from bad."
        )
    sentence = (
        f"From the spectrum alone, AeLLE tells whether a trained network that it has not seen ended well, and is right "
        f"about {after} of 100 (a coin: 50)"
    )
    if before is not None and data.last_epoch > 0:
        sentence += f"; before any training about {before}"
    pair = finalists(data.summaries, 0, data.last_epoch)
    rival = None if pair is None else _of_hundred(data, pair[1].classifier, 0)
    if before is not None and rival is not None and pair is not None:
        sentence += f", where the best guess without spectra, by {pair[1].classifier}, is right about {rival}"
    return sentence + "."


def _of_hundred(data: ReportData, classifier: str, epoch: int) -> int | None:
    """The balanced accuracy in percent; None where it was not or could not be measured."""
    for one in data.summaries:
        if (one.classifier, one.epoch, one.metric) == (classifier, epoch, "balanced_accuracy"):
            return None if math.isnan(one.mean) else round(100 * one.mean)
    return None
