"""Rendering the report."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context

from aelle_core.evaluation import protocol_of, standings
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.report.data import ReportData
from aelle_core.report.figures import ReportFigure, figures
from aelle_core.report.text_tables import METRICS, grid, has_intervals


@dataclass(frozen=True)
class Picture:
    """A figure as PNG and SVG; without both, the reason why there is nothing to draw."""

    figure: type[ReportFigure]
    png: bytes = b""
    svg: bytes = b""
    absent: str | None = None


def picture(figure: type[ReportFigure], data: ReportData) -> Picture:
    """Return the figure, drawn: a PNG at 150 dots per inch, and an SVG that is the same every time."""
    if reason := figure.absent(data):
        return Picture(figure, absent=reason)
    drawn, png, svg = figure.draw(data), io.BytesIO(), io.BytesIO()
    drawn.savefig(png, format="png", dpi=150)
    with rc_context({"svg.hashsalt": figure.name}):
        drawn.savefig(svg, format="svg", dpi=150, metadata={"Date": None})
    return Picture(figure, png.getvalue(), svg.getvalue())


def draw_figures(data: ReportData) -> list[Picture]:
    """Every figure of the report, drawn."""
    return [picture(each, data) for each in figures.values()]


def save_figures(pictures: Sequence[Picture], directory: Place) -> list[Place]:
    """Every picture as a PNG and as an SVG file in `directory`."""
    return [
        write_atomically(directory / f"{each.figure.name}.{suffix}", partial(_write_bytes, content=content))
        for each in pictures
        if not each.absent
        for suffix, content in (("png", each.png), ("svg", each.svg))
    ]


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_report(data: ReportData, pictures: Sequence[Picture], path: Place) -> Place:
    """Write the report: one HTML file with its pictures inside, no script and nothing fetched."""
    environment = Environment(
        loader=PackageLoader("aelle_core.report", "."), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("template.html.jinja").render(
        data=data,
        networks=len(data.final),
        pictures=[(each.figure, each.absent, base64.b64encode(each.png).decode()) for each in pictures],
        tables=[(table, has_intervals(table), *grid(table)) for table in data.tables],
        metrics=METRICS,
        shares=protocol_of(data.study["task"]).end,
        at_the_end=standings(data.summaries, data.last_epoch),
        at_the_start=standings(data.summaries, 0),
        early=_early(data),
        settings=_flat(data.study),
        seeds=_flat(data.seeds),
    )
    return write_atomically(path, lambda temporary: temporary.write_text(page))


def _early(data: ReportData) -> dict[str, Any]:
    """F1 by epoch: at most eight epochs, the first and the last among them."""
    epochs = sorted(data.examples_by_epoch)
    if len(epochs) > 8:
        epochs = sorted({*epochs[:5], epochs[len(epochs) // 2], epochs[3 * len(epochs) // 4], epochs[-1]})
    f1 = {(one.classifier, one.epoch): one for one in data.summaries if one.metric == "f1"}
    names = [each.classifier for each in standings(data.summaries, epochs[0])]
    return {"epochs": epochs, "rows": [(name, [f1[name, epoch] for epoch in epochs]) for name in names]}


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
