"""The study's figures and its report: one HTML file that needs nothing else."""

from aelle_core.report.data import ReportData
from aelle_core.report.page import save_figures, write_report

__all__ = ["ReportData", "save_figures", "write_report"]
