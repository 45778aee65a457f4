"""Losses and accuracies over examples that come in parts."""

from collections.abc import Callable, Iterable

from torch import Tensor

from aelle_core.tasks import cross_entropy


def loss_and_accuracy(
    score: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Means over all rows of inputs (networks, time, batch, ...) and targets (networks, rows), (networks,) each;
    `score` gives class scores (networks, rows, classes)."""
    totals: list[tuple[Tensor, Tensor]] = []
    count = 0
    for inputs, targets in batches:
        scores = score(inputs)
        loss = cross_entropy(scores, targets) * targets.shape[1]
        correct = (scores.argmax(dim=-1) == targets).sum(dim=1)
        totals.append((loss, correct))
        count += targets.shape[1]
    losses, corrects = zip(*totals, strict=True)
    return sum(losses[1:], losses[0]) / count, sum(corrects[1:], corrects[0]) / count
