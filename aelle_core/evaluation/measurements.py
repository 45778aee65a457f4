"""How well one classifier did on one split."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata

METRICS = ("precision", "recall", "f1", "balanced_accuracy", "rank_correlation")


@dataclass(frozen=True)
class Measurement:
    """The metrics of one classifier, at one epoch, on the test networks of one split.

    "Positive" is ending below the threshold. `rank_correlation` is Spearman's, between score and final loss (turned
    so that 1 is perfect), within each cell, averaged over cells by their networks; NaN when a score does not vary.
    """

    classifier: str
    kind: str
    epoch: int
    split: int
    precision: float
    recall: float
    f1: float
    balanced_accuracy: float
    rank_correlation: float
    train_networks: int
    test_networks: int


def measured(
    good: np.ndarray, predicted: np.ndarray, scores: np.ndarray, final_loss: np.ndarray, cells: np.ndarray
) -> dict[str, float]:
    """All metrics of predictions (n,) bool and scores (n,) against what came, (n,) bool and losses."""
    # Counted here: scikit-learn's functions take longer to check their arguments than a forest takes to vote.
    good, predicted = np.asarray(good, dtype=bool), np.asarray(predicted, dtype=bool)
    right, positive, called = int((good & predicted).sum()), int(good.sum()), int(predicted.sum())
    negative = len(good) - positive
    recall = right / positive if positive else 0.0
    specificity = (negative - called + right) / negative if negative else 0.0
    return {
        "precision": right / called if called else 0.0,
        "recall": recall,
        "f1": 2 * right / (positive + called) if positive + called else 0.0,
        "balanced_accuracy": (recall + specificity) / 2 if positive and negative else float("nan"),
        "rank_correlation": rank_correlation_within_cells(scores, final_loss, cells),
    }


def rank_correlation_within_cells(scores: np.ndarray, final_loss: np.ndarray, cells: np.ndarray) -> float:
    """Spearman's rank correlation of the score with the negative final loss within each cell of at least three
    networks, averaged with their numbers as weights; NaN when no cell has a score that varies."""
    total, weight = 0.0, 0
    for cell in np.unique(cells):
        chosen = cells == cell
        if chosen.sum() >= 3 and np.ptp(scores[chosen]) > 0 and np.ptp(final_loss[chosen]) > 0:
            ranks = rankdata(scores[chosen]), rankdata(-final_loss[chosen])
            total += float(np.corrcoef(*ranks)[0, 1]) * int(chosen.sum())
            weight += int(chosen.sum())
    return total / weight if weight else float("nan")


def measurements_table(measurements: Sequence[Measurement]) -> pa.Table:
    """Measurements as an Arrow table."""
    return pa.Table.from_pylist([dataclasses.asdict(one) for one in measurements])


def measurements_from_table(table: pa.Table) -> list[Measurement]:
    """Measurements from such a table."""
    return [Measurement(**row) for row in table.to_pylist()]
