"""Losses and accuracies over examples that come in parts."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from aelle_core.tasks import Loss
from aelle_core.tasks.losses.base import weighted_mean
from aelle_core.training.mini_batches import Labelled


def loss_and_accuracy(
    score: Callable[[Tensor], Tensor], batches: Iterable[Labelled], loss: type[Loss]
) -> tuple[Tensor, Tensor]:
    """Return the means over all rows, (networks,) each; the accuracy is NaN where nothing is right or wrong. `score`
    gives outputs (networks, rows, outputs) for inputs (networks, time, batch, ...)."""
    losses: list[Tensor] = []
    corrects: list[Tensor] = []
    counts: list[Tensor] = []
    for batch in batches:
        outputs, count = score(batch.inputs), batch.count
        losses.append(loss.mean(outputs, batch.targets, batch.weights) * count)
        correct = loss.correct(outputs, batch.targets)
        nothing = torch.full_like(count, float("nan"))
        corrects.append(nothing if correct is None else weighted_mean(correct.float(), batch.weights) * count)
        counts.append(count)
    total = sum(counts[1:], counts[0])
    return sum(losses[1:], losses[0]) / total, sum(corrects[1:], corrects[0]) / total
