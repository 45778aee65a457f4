"""Rendering the report."""

import base64
import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from aelle_core.evaluation import Summary
from aelle_core.files import write_atomically
from aelle_core.report.data import ReportData
from aelle_core.report.figures import FIGURES, ReportFigure

_METRICS = {
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "balanced_accuracy": "Balanced accuracy",
    "rank_correlation": "Rank correlation within cells",
}

Picture = tuple[ReportFigure, bytes]
"""A figure and its PNG."""


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG at 150 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def draw_figures(data: ReportData) -> list[Picture]:
    """Every figure of the report, drawn."""
    return [(each, figure_png(each.draw(data))) for each in FIGURES]


def save_figures(pictures: Sequence[Picture], directory: Path) -> list[Path]:
    """Every picture as a PNG file in `directory`."""
    return [
        write_atomically(directory / f"{each.name}.png", partial(_write_bytes, content=content))
        for each, content in pictures
    ]


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_report(data: ReportData, pictures: Sequence[Picture], path: Path) -> Path:
    """Write the report: one HTML file with its pictures inside, no script and nothing fetched."""
    environment = Environment(
        loader=PackageLoader("aelle_core.report", "."), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("template.html.jinja").render(
        data=data,
        networks=len(data.final),
        figures=[(each, base64.b64encode(content).decode()) for each, content in pictures],
        metrics=_METRICS,
        last_rows=_rows(data.summaries, data.last_epoch),
        first_rows=_rows(data.summaries, 0),
        early=_early(data),
        settings=_flat(data.study),
        seeds=_flat(data.seeds),
    )
    return write_atomically(path, lambda temporary: temporary.write_text(page))


def _rows(summaries: list[Summary], epoch: int) -> list[dict[str, Any]]:
    """A row for each classifier with its metrics, best F1 first."""
    rows: dict[str, dict[str, Any]] = {}
    for one in summaries:
        if one.epoch == epoch:
            rows.setdefault(one.classifier, {"name": one.classifier, "kind": one.kind})[one.metric] = one
    return sorted(rows.values(), key=lambda row: -row["f1"].mean)


def _early(data: ReportData) -> dict[str, Any]:
    """F1 by epoch: at most eight epochs, the first and the last among them."""
    epochs = sorted(data.examples_by_epoch)
    if len(epochs) > 8:
        epochs = sorted({*epochs[:5], epochs[len(epochs) // 2], epochs[3 * len(epochs) // 4], epochs[-1]})
    f1 = {(one.classifier, one.epoch): one for one in data.summaries if one.metric == "f1"}
    names = [row["name"] for row in _rows(data.summaries, epochs[0])]
    return {"epochs": epochs, "rows": [(name, [f1[name, epoch] for epoch in epochs]) for name in names]}


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
