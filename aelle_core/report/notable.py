"""The networks that are worth a look: those that AeLLE thinks best, and those that surprise it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aelle_core.report.networks import NetworkRow


@dataclass(frozen=True)
class NotableList:
    """Some networks, under a heading, with what makes them worth a look."""

    anchor: str
    title: str
    caption: str
    rows: Sequence[NetworkRow]


def unseen_or_all(rows: Sequence[NetworkRow]) -> list[NetworkRow]:
    """Return the networks that AeLLE was not fitted to; all of them where it was fitted to every one."""
    return [row for row in rows if not row.seen] or list(rows)


def notable(rows: Sequence[NetworkRow], threshold: float, count: int = 4) -> list[NotableList]:
    """Return the best networks by prediction, and those that ended on the other side of the threshold than predicted,
    the largest difference of ranks first; lists without a network are left out.

    Only networks that AeLLE was not fitted to take part, where there are some: for the others it knew the loss.
    """
    candidates = unseen_or_all(rows)
    predicted = np.array([row.predicted for row in candidates])
    surprise = _ranks(np.array([row.final_loss for row in candidates])) - _ranks(predicted)
    promising, good = predicted < threshold, np.array([row.good for row in candidates])
    chosen = [
        ("best", "Best by prediction", "The lowest predicted losses.", np.argsort(predicted)),
        (
            "disappointing",
            "Looked good, ended badly",
            "The spectrum promised a loss below the threshold, and training did not deliver.",
            _largest(surprise, promising & ~good),
        ),
        (
            "underrated",
            "Looked bad, ended well",
            "The spectrum spoke against the network, and it learned the task.",
            _largest(-surprise, ~promising & good),
        ),
    ]
    return [
        NotableList(anchor, title, caption, [candidates[index] for index in order[:count].tolist()])
        for anchor, title, caption, order in chosen
        if len(order)
    ]


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def _largest(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the indices with `among`, largest values first."""
    indices = np.flatnonzero(among)
    return indices[np.argsort(-values[indices], kind="stable")]
