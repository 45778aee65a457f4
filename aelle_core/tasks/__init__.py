"""What networks are trained on: sequences with targets, split by seed."""

from aelle_core.tasks.base import Task, get_task, tasks
from aelle_core.tasks.examples import Examples, Splits
from aelle_core.tasks.losses import Loss, cross_entropy, losses
from aelle_core.tasks.supervised import Classification, Regression, Supervised

__all__ = [
    "Classification",
    "Examples",
    "Loss",
    "Regression",
    "Splits",
    "Supervised",
    "Task",
    "cross_entropy",
    "get_task",
    "losses",
    "tasks",
]
