"""Tables, for a terminal and for a page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.shared.timing import Spread

if TYPE_CHECKING:
    from rich.table import Table as RichTable

DASH = "-"


@dataclass
class Table:
    """A title, what the numbers are, and rows of text."""

    title: str
    note: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def markdown(self) -> str:
        aligned = [":--" if index == 0 else "--:" for index in range(len(self.columns))]
        lines = [self.columns, aligned, *self.rows]
        return "\n".join([f"## {self.title}", "", self.note, "", *("| " + " | ".join(line) + " |" for line in lines)])

    def rich(self) -> "RichTable":
        from rich import box
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, caption=self.note, box=box.SIMPLE_HEAD, title_style="bold", pad_edge=False)
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
        for row in self.rows:
            table.add_row(*row)
        return table


def number(value: float) -> str:
    """Three digits, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(value: Spread) -> str:
    return f"{number(value.median)} ({number(value.low)}..{number(value.high)})"


def times(value: Spread) -> str:
    return f"{number(value.median)}x ({number(value.low)}..{number(value.high)})"


def error(value: float | None) -> str:
    if value is None:
        return DASH
    return "∞" if math.isinf(value) else f"{value:.0e}"
