"""The task `forecast`: the next step of a known system's series, or of one's own, and then all that follow."""

from aelle_core.tasks.forecast.task import Forecast, HeldOut

__all__ = ["Forecast", "HeldOut"]
