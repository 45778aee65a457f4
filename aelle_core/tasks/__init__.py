"""What networks are trained on: sequences with targets, split by seed."""

from aelle_core.tasks.base import Examples, Splits, Task, get_task, tasks

__all__ = ["Examples", "Splits", "Task", "get_task", "tasks"]
