"""How well free runs reproduce a system, one file for each measure: arrays in, numbers out."""

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measure_all, measures

__all__ = ["FreeRuns", "Measure", "measure_all", "measures"]
