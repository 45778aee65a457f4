"""What a loss is: one number for each row of outputs and targets, averaged for each network."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from aelle_core.foundation.registry import Registry


class Loss(ABC):
    """Compares outputs (networks, rows, outputs) with targets, row by row. A row is a sequence, or a step of one.

    label    what the losses of a task are, as an axis is labelled, with their unit
    classes  True where targets are whole numbers (networks, rows), a class each, from 0 to outputs - 1; False where
             they are real numbers (networks, rows, outputs)

    Every way of training takes every loss under autograd; the compiled way takes those that it has an emitter for
    (aelle_core.training.compiler.operations).
    """

    name: ClassVar[str]
    label: ClassVar[str]
    classes: ClassVar[bool]

    @staticmethod
    @abstractmethod
    def rows(outputs: Tensor, targets: Tensor) -> Tensor:
        """Return every row's loss, (networks, rows)."""

    @staticmethod
    def correct(outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return which rows are right, (networks, rows) of bool; None where nothing is right or wrong."""
        return None

    @classmethod
    def mean(cls, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return each network's mean loss over its rows, (networks,); rows count as `weights` (networks, rows) say."""
        return weighted_mean(cls.rows(outputs, targets), weights)


def weighted_mean(rows: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of rows (networks, rows) for each network, (networks,). A row of weight 0 counts for nothing,
    even where it is not finite."""
    if weights is None:
        return rows.mean(dim=1)
    return (rows.masked_fill(weights == 0, 0.0) * weights).sum(dim=1) / weights.sum(dim=1)


losses: Registry[Loss] = Registry("loss", "aelle_core.tasks.losses")
