"""How much better one classifier does than another on the same splits."""

from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.summary import corrected_interval


def gain(
    measurements: Sequence[Measurement], row: str, over: str, epoch: int, metric: str = "f1"
) -> tuple[float, float, float]:
    """Mean and 95 % interval (Nadeau & Bengio) of what one classifier has more than another, split by split."""
    found = {(one.classifier, one.split): one for one in measurements if one.epoch == epoch}
    splits = sorted({split for _, split in found})
    differences = [getattr(found[row, split], metric) - getattr(found[over, split], metric) for split in splits]
    ratio = float(np.mean([found[row, split].test_networks / found[row, split].train_networks for split in splits]))
    return corrected_interval(np.array(differences), ratio)


def told(found: tuple[float, float, float], row: str, over: str, metric: str) -> str:
    """In words which of the two does better, with the gain and its interval."""
    mean, low, high = found
    if low > 0:
        verdict = f"{row!r} does better than {over!r}"
    elif high < 0:
        verdict = f"{row!r} does worse than {over!r}"
    else:
        verdict = f"{row!r} and {over!r} cannot be told apart"
    return f"{verdict}: {metric} {mean:+.3f} ({low:+.3f} to {high:+.3f})."
