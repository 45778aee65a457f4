"""What a figure of the report is, and how one is found."""

from abc import ABC, abstractmethod
from typing import ClassVar

from matplotlib.figure import Figure

from aelle_core.foundation.registry import Registry
from aelle_core.report.data import ReportData


class ReportFigure(ABC):
    """One figure of the report. It is saved under its registered name; figures come in the order of their names."""

    name: ClassVar[str]
    title: ClassVar[str]
    caption: ClassVar[str]

    @staticmethod
    @abstractmethod
    def draw(data: ReportData) -> Figure:
        """Return the figure, on white."""

    @staticmethod
    def absent(data: ReportData) -> str | None:
        """Why there is nothing to draw, in one sentence; None where there is."""
        return None


class FreeRunFigure(ReportFigure):
    """A figure of studies whose networks are judged by how they run on their own output."""

    @staticmethod
    def absent(data: ReportData) -> str | None:
        """Say why there are no free runs; None where there are."""
        return data.without_free_runs


figures: Registry[ReportFigure] = Registry("figure", "aelle_core.report.figures")
