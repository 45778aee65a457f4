"""One file for each figure of the report; a new one is found by itself."""

from aelle_core.report.figures.base import ReportFigure, figures

__all__ = ["ReportFigure", "figures"]
