"""Cross-entropy of class scores."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from aelle_core.tasks.losses.base import Loss, losses


@losses.register("cross_entropy")
class CrossEntropy(Loss):
    """-log softmax(scores)[class], in nats; right is the class with the largest score."""

    label: ClassVar[str] = "loss (nats)"
    classes: ClassVar[bool] = True

    @staticmethod
    def rows(outputs: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view(targets.shape)

    @staticmethod
    def correct(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(dim=-1) == targets


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of class scores (networks, rows, classes) against targets (networks, rows):
    (networks,). Rows are the sequences, or every step of them."""
    return CrossEntropy.mean(scores, targets)
