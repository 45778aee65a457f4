"""Every number that the paper has, beside ours: one short table for each task."""

import math
from collections.abc import Sequence

from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.foundation.counting import counted

_SAME_LEARNER = (
    "ridge on spectrum",
    "forest on spectrum",
    "cell and hyperparameters",
    "Gaussian process on hyperparameters",
)
_CAPTION = (
    "The paper's numbers come from one split; ours are means over splits with their 95 % intervals. The last "
    "rows are not the paper's: ridge and a forest on the spectrum, and the forest and a Gaussian process on what was "
    "drawn for a network that never ran."
)


def comparison(studies: Sequence[tuple[str, str, Sequence[Table]]]) -> list[Table]:
    """One table for each task that the paper has, a column for each study; `studies` are task, name and tables."""
    compared = []
    for task in dict.fromkeys(task for task, _, _ in studies):
        known: list[Entry] = []
        beside: list[Entry] = []
        remarks: list[str] = []
        for name, tables in [(name, tables) for shipped, name, tables in studies if shipped == task]:
            printed = [entry for table in tables for entry in table.entries if entry.paper is not None]
            known += [_entry(entry, name) for entry in printed]
            beside += [
                _entry(entry, name)
                for table in tables
                for entry in table.entries
                if table.name == "end_of_training" and entry.row in _SAME_LEARNER and entry.metric == "f1"
            ]
            if told := [entry for entry in printed if not math.isnan(entry.low)]:  # with an interval
                remarks.append(_in_words(name, told))
        if known:
            compared.append(Table(f"comparison_{task}", f"The paper and us: {task}", _CAPTION, known + beside, remarks))
    return compared


def _entry(entry: Entry, study: str) -> Entry:
    """Return the number in a row that says when it was taken, and in its study's column."""
    row = f"{entry.row}, {entry.column.replace('end of training', 'at the end')}"
    return Entry(row, entry.metric, study, entry.mean, entry.low, entry.high, entry.paper)


def _in_words(name: str, entries: Sequence[Entry]) -> str:
    """In words how many of the paper's numbers our intervals hold, and on which side the others lie."""
    within = sum(entry.paper is not None and entry.low <= entry.paper <= entry.high for entry in entries)
    above = sum(entry.paper is not None and entry.paper > entry.high for entry in entries)
    return (
        f"{name}: of {counted(len(entries), 'number')} of the paper {within} lie within our intervals, {above} above "
        f"them and {len(entries) - within - above} below."
    )
