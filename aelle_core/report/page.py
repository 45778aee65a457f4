"""Rendering the report."""

import base64
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from PIL import Image

from aelle_core.evaluation import protocol_of, standings
from aelle_core.evaluation.classifiers.scalar import FLOOR
from aelle_core.evaluation.metrics import METRICS
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.counting import counted
from aelle_core.report.conclusion import headline
from aelle_core.report.data import ReportData
from aelle_core.report.downloads import downloads
from aelle_core.report.figures import ReportFigure, figures
from aelle_core.report.inline.by_epoch import epoch_picture
from aelle_core.report.inline.plane import plane_picture
from aelle_core.report.inline.spectra import spectra_picture
from aelle_core.report.networks import network_rows
from aelle_core.report.notable import notable, unseen_or_all
from aelle_core.report.text_tables import grid, has_intervals

_MOST_ROWS = 1000
"""Of more networks the page lists these many, so that it stays small."""
_MOST_EPOCHS = 7
_ON_PAPER = 60
"""Of the listed networks a print has these many."""


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
    """Draw every figure of the report."""
    return [picture(figure, data) for figure in figures.values()]


def save_figures(pictures: Sequence[Picture], directory: Place) -> list[Place]:
    """Write every picture as a PNG and as an SVG file into `directory`. Returns the files."""
    return [
        write_atomically(directory / f"{drawn.figure.name}.{suffix}", partial(_write_bytes, content=content))
        for drawn in pictures
        if not drawn.absent
        for suffix, content in (("png", drawn.png), ("svg", drawn.svg))
    ]


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_report(data: ReportData, pictures: Sequence[Picture], path: Place, files: Sequence[str] = ()) -> Place:
    """Write the report: one HTML file with its pictures inside, whole without its script, and nothing fetched.

    `files` are addresses, relative to the page, of files that it offers for download.
    """
    return write_atomically(path, lambda temporary: temporary.write_text(rendered(data, pictures, files)))


def rendered(data: ReportData, pictures: Sequence[Picture], files: Sequence[str] = ()) -> str:
    """Return the report as HTML; see `write_report`. Names and texts are escaped: they may come from plug-ins."""
    environment = Environment(
        loader=PackageLoader("aelle_core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals["counted"] = counted
    rows = network_rows(data)
    lists = notable(rows, data.threshold)
    looked_at = [row.number for listed in lists for row in listed.rows]
    marks = dict(zip(dict.fromkeys(looked_at), ascii_uppercase, strict=False))
    sentence = headline(data)
    return environment.get_template("report.html.jinja").render(
        data=data,
        rows=rows,
        listed=sorted(rows, key=lambda row: row.final_loss)[:_MOST_ROWS],
        on_paper=_ON_PAPER,
        starts=any(row.initial_loss is not None for row in rows),
        accurate=any(row.accuracy is not None for row in rows),
        best_loss=data.final.final_loss.min(),
        conclusion=sentence,
        verdicts=[verdict for verdict in data.verdicts if verdict != sentence],
        notable=lists,
        marks=marks,
        unseen=len(unseen_or_all(rows)),
        all_seen=all(row.seen for row in rows),
        plane=plane_picture(data, rows, marks),
        epochs=epoch_picture(data),
        spectra=spectra_picture(data, FLOOR),
        pictures=[_shown(drawn) for drawn in pictures if not drawn.absent],
        tables=[_laid_out(table, set(data.good_fraction_by_cell)) for table in data.tables if table.entries],
        downloads=downloads(data, files),
        beside=bool(files),
        metrics=METRICS,
        shares=protocol_of(data.study["task"]).end,
        at_the_end=standings(data.summaries, data.last_epoch),
        at_the_start=standings(data.summaries, 0),
        early=_early(data),
        cells=_cells(data),
        settings=_flat(data.study),
        seeds=_flat(data.seeds),
    )


def _shown(drawn: Picture) -> dict[str, Any]:
    """Return what the page needs to know of a picture; wide ones go across the page."""
    width, height = struct.unpack(">II", drawn.png[16:24])
    return {
        "anchor": drawn.figure.name,
        "title": drawn.figure.title,
        "caption": drawn.figure.caption,
        "content": base64.b64encode(_smaller(drawn.png)).decode(),
        "width": width,
        "height": height,
        "across": width > 1300,
    }


def _smaller(png: bytes) -> bytes:
    """Return the picture in 128 colours: a third of the size, and no difference that is seen on a page."""
    few, stream = Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE), io.BytesIO()
    few.save(stream, format="png", optimize=True)
    return stream.getvalue()


def _laid_out(table: Any, cells: set[str]) -> dict[str, Any]:
    """Return a table as text; `by_cell` where its rows are cells."""
    header, rows = grid(table)
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "remarks": table.remarks,
        "intervals": has_intervals(table),
        "header": header,
        "rows": rows,
        "by_cell": {row[0] for row in rows} <= cells,
    }


def _cells(data: ReportData) -> list[dict[str, Any]]:
    """For each cell its networks with a final spectrum, their best and median loss, and the share that ended well."""
    rows = []
    for cell, share in data.good_fraction_by_cell.items():
        losses = data.final.final_loss[data.final.cells == cell]
        if len(losses):
            best, median = float(losses.min()), float(np.median(losses))
            rows.append({"name": cell, "networks": len(losses), "share": share, "best": best, "median": median})
    return rows


def _early(data: ReportData) -> dict[str, Any]:
    """F1 by epoch: at most seven epochs, the first and the last among them."""
    epochs = sorted(data.examples_by_epoch)
    if len(epochs) > _MOST_EPOCHS:
        epochs = sorted({*epochs[:4], epochs[len(epochs) // 2], epochs[3 * len(epochs) // 4], epochs[-1]})
    f1 = {(summary.classifier, summary.epoch): summary for summary in data.summaries if summary.metric == "f1"}
    names = [standing.classifier for standing in standings(data.summaries, epochs[0])]
    rows = [(name, [f1[name, epoch] for epoch in epochs]) for name in names]
    best = [max((cells[column].mean for _, cells in rows), default=0) for column in range(len(epochs))]
    return {"epochs": epochs, "rows": rows, "best": best}


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
