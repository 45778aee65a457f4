"""What a report offers for download: files beside the page, and small tables inside it."""

import base64
import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from aelle_core.evaluation import Summary
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.report.data import ReportData
from aelle_core.report.networks import network_rows, networks_table
from aelle_core.report.text_tables import comma_separated


@dataclass(frozen=True)
class Download:
    """A link: what it says, where it leads (a relative path, or a data: address), and the name to save it under."""

    label: str
    address: str
    file_name: str


def save_networks(data: ReportData, directory: Place) -> list[Place]:
    """Write networks.parquet, with final spectra, and networks.csv, without, into a directory. Return their paths."""
    table = networks_table(data, network_rows(data))
    flat = table.drop_columns(["spectrum"])
    return [
        write_atomically(directory / "networks.parquet", partial(pq.write_table, table)),
        write_atomically(directory / "networks.csv", partial(pa.csv.write_csv, flat)),
    ]


def downloads(data: ReportData, files: Sequence[str]) -> list[Download]:
    """Return what a page offers: `files`, addresses relative to it, and its metrics and tables, which are inside it."""
    inside = [("metrics", metrics_csv(data.summaries))]
    if data.tables:
        inside.append(("tables", comma_separated(data.tables)))
    links = []
    for address in files:
        stem, _, suffix = address.rpartition("/")[2].rpartition(".")
        links.append(Download(f"{stem} ({_KINDS.get(suffix, suffix)})", address, f"{stem}.{suffix}"))
    for name, text in inside:
        content = base64.b64encode(text.encode()).decode()
        links.append(Download(f"{name} (CSV)", f"data:text/csv;base64,{content}", f"{name}.csv"))
    return links


_KINDS = {"csv": "CSV", "parquet": "Parquet", "safetensors": "safetensors"}


def metrics_csv(summaries: Sequence[Summary]) -> str:
    """Return every metric as CSV: classifier, kind, epoch, metric, mean, low, high; empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["classifier", "kind", "epoch", "metric", "mean", "low", "high"])
    for summary in summaries:
        numbers = ["" if math.isnan(value) else f"{value:.6g}" for value in (summary.mean, summary.low, summary.high)]
        writer.writerow([summary.classifier, summary.kind, summary.epoch, summary.metric, *numbers])
    return buffer.getvalue()
