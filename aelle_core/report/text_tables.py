"""Tables as text: the cells that a terminal, Markdown and HTML share, and CSV."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from aelle_core.evaluation.metrics import METRICS
from aelle_core.evaluation.tables.base import Entry, Table


def grid(table: Table) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text. The paper's numbers stand in columns of their own, before ours."""
    metrics = list(dict.fromkeys(entry.metric for entry in table.entries))
    printed = {entry.column for entry in table.entries if entry.paper is not None}
    header = [""] + (["metric"] if len(metrics) > 1 else [])
    for column in table.columns():
        header += [f"{column}, paper", f"{column}, ours"] if column in printed else [column]
    rows = []
    for row, metric in table.rows():
        cells = [row] + ([METRICS[metric]] if len(metrics) > 1 else [])
        for column in table.columns():
            entry = table.at(row, metric, column)
            if column in printed:
                cells.append("" if entry is None or entry.paper is None else f"{entry.paper:.3f}")
            cells.append("" if entry is None else number(entry))
        rows.append(cells)
    return header, rows


def number(entry: Entry) -> str:
    """Return a mean with its interval, where there is one; n/a where nothing could be measured."""
    if math.isnan(entry.mean):
        return "n/a"
    if math.isnan(entry.low):
        return f"{entry.mean:.3f}"
    return f"{entry.mean:.3f} ({entry.low:.3f} to {entry.high:.3f})"


def markdown(title: str, tables: Sequence[Table]) -> str:
    """Return the tables as a Markdown page: what each says in words, then its numbers."""
    lines = [f"# {title}", ""]
    for table in tables:
        lines += [f"## {table.title}", "", table.caption, ""]
        lines += [f"- {remark}" for remark in table.remarks]
        lines += [""] if table.remarks else []
        if table.entries:
            header, rows = grid(table)
            lines += [_line(header), _line(["---"] * len(header)), *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def has_intervals(table: Table) -> bool:
    """Return whether any number of the table has an interval."""
    return not all(math.isnan(entry.low) for entry in table.entries)


def comma_separated(tables: Sequence[Table]) -> str:
    """Return all numbers as CSV: table, row, metric, column, paper, mean, low, high; empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["table", "row", "metric", "column", "paper", "mean", "low", "high"])
    for table in tables:
        for entry in table.entries:
            values = [None if entry.paper is None else entry.paper, entry.mean, entry.low, entry.high]
            cells = ["" if value is None or math.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow([table.name, entry.row, entry.metric, entry.column, *cells])
    return buffer.getvalue()
