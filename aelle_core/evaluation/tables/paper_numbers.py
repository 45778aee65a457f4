"""What the paper printed."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _numbers() -> dict[str, Any]:
    return tomllib.loads(files("aelle_core.evaluation.tables").joinpath("paper_numbers.toml").read_text())


def paper_tasks() -> list[str]:
    """Return the tasks that the paper has numbers for."""
    return sorted(_numbers())


def paper_number(task: str, table: str, metric: str, row: str, column: str) -> float | None:
    """Return the number in that place, or None where the paper has none."""
    return _numbers().get(task, {}).get(table, {}).get(metric, {}).get(row, {}).get(column)


def paper_remarks(task: str, table: str) -> list[str]:
    """Return what the paper says about the table in words."""
    return list(_numbers().get(task, {}).get("remarks", {}).get(table, []))
