"""The study's figures and its report: one HTML file that needs nothing else."""

from aelle_core.report.data import ReportData
from aelle_core.report.downloads import save_networks
from aelle_core.report.page import draw_figures, save_figures, write_report

__all__ = ["ReportData", "draw_figures", "save_figures", "save_networks", "write_report"]
