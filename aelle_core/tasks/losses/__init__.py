"""What networks lower while they train: one file for each loss."""

from aelle_core.tasks.losses.base import Loss, losses
from aelle_core.tasks.losses.cross_entropy import CrossEntropy, cross_entropy
from aelle_core.tasks.losses.squared_error import SquaredError

__all__ = ["CrossEntropy", "Loss", "SquaredError", "cross_entropy", "losses"]
