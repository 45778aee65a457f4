"""What networks are trained on: sequences with targets, split by seed."""

from aelle_core.tasks.base import Classification, Examples, Splits, Task, cross_entropy, get_task, tasks

__all__ = ["Classification", "Examples", "Splits", "Task", "cross_entropy", "get_task", "tasks"]
