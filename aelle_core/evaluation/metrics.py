"""How well one classifier did on one split."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

METRICS = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "balanced_accuracy": "balanced accuracy",
    "overall_rank_correlation": "rank correlation",
    "rank_correlation": "rank correlation within cells",
}
"""A metric's name in a measurement, and what people call it."""
COMPARED = ("f1", "overall_rank_correlation", "rank_correlation")
"""What a table shows, and what two classifiers are compared by, on the same splits."""


@dataclass(frozen=True)
class Measurement:
    """The metrics of one classifier, at one epoch, on the test networks of one split.

    "Positive" is ending below the threshold. `rank_correlation` is Spearman's, between score and final loss (turned so
    that 1 is perfect), within each cell, averaged over cells by their networks; `overall_rank_correlation` is among all
    networks. NaN when a score does not vary.
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
    overall_rank_correlation: float = math.nan


def measured(
    good: np.ndarray, predicted: np.ndarray, scores: np.ndarray, final_loss: np.ndarray, cells: np.ndarray
) -> dict[str, float]:
    """Return all metrics of predictions (n,) bool and scores (n,) against the outcome, (n,) bool and losses (n,).

    Where nothing is called good or nothing is, precision, recall and F1 are 0; the balanced accuracy is NaN where all
    networks ended on one side.
    """
    good, predicted = np.asarray(good, dtype=bool), np.asarray(predicted, dtype=bool)
    precision, recall, f1, _ = precision_recall_fscore_support(good, predicted, average="binary", zero_division=0.0)
    one_sided = good.all() or not good.any()
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "balanced_accuracy": math.nan if one_sided else float(balanced_accuracy_score(good, predicted)),
        "rank_correlation": rank_correlation_within_cells(scores, final_loss, cells),
        "overall_rank_correlation": rank_correlation_within_cells(scores, final_loss, np.zeros(len(scores))),
    }


def rank_correlation_within_cells(scores: np.ndarray, final_loss: np.ndarray, cells: np.ndarray) -> float:
    """Return Spearman's rank correlation of the score with the negative final loss within each cell of at least three
    networks, averaged with their numbers as weights; NaN when no cell has a score that varies. All arrays are
    (networks,)."""
    total, weight = 0.0, 0
    for cell in np.unique(cells):
        chosen = cells == cell
        if chosen.sum() >= 3 and np.ptp(scores[chosen]) > 0 and np.ptp(final_loss[chosen]) > 0:
            total += float(spearmanr(scores[chosen], -final_loss[chosen]).statistic) * int(chosen.sum())
            weight += int(chosen.sum())
    return total / weight if weight else math.nan


def measurements_table(measurements: Sequence[Measurement]) -> pa.Table:
    """Measurements as an Arrow table."""
    return pa.Table.from_pylist([dataclasses.asdict(measurement) for measurement in measurements])


def measurements_from_table(table: pa.Table) -> list[Measurement]:
    """Measurements from such a table."""
    return [Measurement(**row) for row in table.to_pylist()]
