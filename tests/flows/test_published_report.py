"""What Prefect's interface shows of a finished analysis."""

from pathlib import Path

import pytest

from aelle_core.evaluation.metrics import METRICS
from aelle_core.report import ReportData, save_figures
from aelle_core.report.figures import figures
from aelle_core.report.page import Picture, picture
from aelle_core.study import RunDirectory
from flows.analyse import metrics_table, report_markdown
from flows.report_link import SHOWN
from tests.helpers.reports import random_report


@pytest.fixture(scope="module")
def report() -> ReportData:
    return random_report()


def test_figures_have_their_titles_and_captions_and_the_report_comes_first(
    report: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "random")
    drawn = [picture(figures["4_histograms"], report), Picture(figures["0_task"], absent="No data.")]
    save_figures(drawn, run.figures)
    monkeypatch.setenv("AELLE_RUNS", str(tmp_path))
    monkeypatch.setenv(SHOWN, "1")
    lines = report_markdown(report, run).splitlines()
    assert lines[:3] == [f"# {report.title}", "", "[Open the whole report](/reports/random/report.html)"]
    assert "- A verdict." in lines
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## Along the first component"]
    assert figures["4_histograms"].caption in lines
    assert lines[-1].startswith("![Along the first component](data:image/png;base64,")


def test_headings_of_metrics_are_words_and_the_best_f1_is_first(report: ReportData) -> None:
    rows = metrics_table(report, report.last_epoch)
    assert list(rows[0])[:3] == ["predictor", "what it knows", "F1"]
    assert set(rows[0]) - {"predictor", "what it knows"} <= set(METRICS.values())
    numbers = [float(row["F1"].split()[0]) for row in rows]
    assert numbers == sorted(numbers, reverse=True)
