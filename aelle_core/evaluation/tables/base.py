"""What a table is, and how one is found."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from aelle_core.evaluation.metrics import COMPARED, Measurement
from aelle_core.evaluation.summary import summarise
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.tables.paper_numbers import paper_number, paper_remarks
from aelle_core.evaluation.verdicts import difference_in_words
from aelle_core.foundation.registry import Registry


@dataclass(frozen=True)
class Entry:
    """One number: its place, its mean and 95 % interval (NaN where there is none), and the paper's number."""

    row: str
    metric: str
    column: str
    mean: float
    low: float
    high: float
    paper: float | None = None


@dataclass(frozen=True)
class Table:
    """Numbers in rows and columns, what they are, and in words what they say."""

    name: str
    title: str
    caption: str
    entries: Sequence[Entry]
    remarks: Sequence[str] = field(default=())

    def rows(self) -> list[tuple[str, str]]:
        """Rows, each with its metric, in order."""
        return list(dict.fromkeys((entry.row, entry.metric) for entry in self.entries))

    def columns(self) -> list[str]:
        """Columns in order."""
        return list(dict.fromkeys(entry.column for entry in self.entries))

    def at(self, row: str, metric: str, column: str) -> Entry | None:
        """Return the number in that place, where there is one."""
        return next(
            (entry for entry in self.entries if (entry.row, entry.metric, entry.column) == (row, metric, column)), None
        )


class TableMaker(ABC):
    """Makes one table from a study's networks. In its caption {end} and {early} stand for the splits, {cutting} for the
    networks that cuts are chosen on at the end of training."""

    name: ClassVar[str]
    title: ClassVar[str]
    caption: ClassVar[str]
    order: ClassVar[int]

    @abstractmethod
    def entries(self, material: Material) -> list[Entry]:
        """Return the numbers."""

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        """Return what they say, in sentences; first what F1 is worth here."""
        return [f"{all_good(material, material.threshold)}.", *paper_remarks(material.task, self.name)]

    def absent(self, material: Material) -> str | None:
        """Why the table cannot be made from this study, in one sentence; None where it can."""
        return None

    def make(self, material: Material) -> Table:
        """Return the table; without entries, and with the reason, where the study has nothing to fill it."""
        protocol = material.protocol
        caption = self.caption.format(end=protocol.end, early=protocol.early, cutting=protocol.end.cutting)
        if reason := self.absent(material):
            return Table(self.name, self.title, caption, (), (reason,))
        entries = self.entries(material)
        return Table(self.name, self.title, caption, entries, self.remarks(material, entries))


BASELINES = (
    "cell alone", "mean of the cell", "cell and hyperparameters", "Gaussian process on hyperparameters",
    "Gaussian process with loss",
)  # fmt: skip
"""What sees no spectrum: the last rows of the paper's tables."""


class EarlyTable(TableMaker):
    """Classifiers in the first half of training, one column for each epoch, and the baselines beside them.

    `rivals` are the pairs of rows whose differences are told, at the first two of these epochs.
    """

    shown: ClassVar[Sequence[str]]
    metrics: ClassVar[Sequence[str]] = COMPARED
    rivals: ClassVar[Sequence[tuple[str, str]]] = ()

    def absent(self, material: Material) -> str | None:
        return None if material.early_epochs else "Not made: the study has no spectra from the first half of training."

    def rows(self, material: Material) -> tuple[str, ...]:
        """Return the table's rows in order."""
        return (*self.shown, *BASELINES)

    def measured(self, material: Material) -> list[Measurement]:
        """Return the measurements that the table shows."""
        return material.early

    def entries(self, material: Material) -> list[Entry]:
        columns = {epoch: column_of(epoch) for epoch in material.early_epochs}
        self._measured = self.measured(material)
        return entries_of(self.name, material.task, self._measured, self.rows(material), self.metrics, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        differences = [
            f"At epoch {epoch}, {difference_in_words(self._measured, row, over, epoch)}"
            for epoch in material.early_epochs[:2]
            for row, over in self.rivals
        ]
        return [*differences, *super().remarks(material, entries)]


def all_good(material: Material, threshold: float) -> str:
    """In words what F1 is worth: that of whoever calls every network good."""
    share = float((material.everyone.final_loss < threshold).mean())
    return f"Calling every network good would give a recall of 1 and an F1 of {2 * share / (1 + share):.3f}"


table_makers: Registry[TableMaker] = Registry("table", "aelle_core.evaluation.tables")


def make_tables(material: Material) -> list[Table]:
    """Make every table of a study, in order."""
    makers = sorted(table_makers.values(), key=lambda maker: maker.order)
    return [maker().make(material) for maker in makers]


def column_of(epoch: int) -> str:
    """Return the column of an epoch."""
    return f"epoch {epoch}"


def entries_of(
    table: str,
    task: str,
    measurements: Sequence[Measurement],
    rows: Sequence[str],
    metrics: Sequence[str],
    columns: dict[int, str],
) -> list[Entry]:
    """Means over splits with intervals of the chosen classifiers, in their order, at the epochs that have a column."""
    chosen = [
        measurement for measurement in measurements if measurement.classifier in rows and measurement.epoch in columns
    ]
    by_cell = {(summary.classifier, summary.metric, summary.epoch): summary for summary in summarise(chosen)}
    return [
        Entry(
            row, metric, column, summary.mean, summary.low, summary.high, paper_number(task, table, metric, row, column)
        )
        for row in rows
        for metric in metrics
        for epoch, column in columns.items()
        for summary in [by_cell[row, metric, epoch]]
    ]
