"""Every number that the paper has, beside ours: one short table for each task."""

from collections.abc import Sequence

from aelle_core.evaluation.tables.base import Entry, Table

_SAME_LEARNER = ("forest on spectrum", "cell and hyperparameters", "Gaussian process on hyperparameters")
_CAPTION = (
    "The paper's numbers come from one split; ours are means over splits with their 95 % intervals. The last "
    "rows are one learner on the spectrum and on what was drawn for a network that never ran, and the Gaussian process."
)


def comparison(studies: Sequence[tuple[str, str, Sequence[Table]]]) -> list[Table]:
    """One table for each task that the paper has, a column for each study; `studies` are task, name and tables."""
    made = []
    for task in dict.fromkeys(task for task, _, _ in studies):
        known: list[Entry] = []
        beside: list[Entry] = []
        remarks: list[str] = []
        for name, tables in [(name, tables) for shipped, name, tables in studies if shipped == task]:
            printed = [one for table in tables for one in table.entries if one.paper is not None]
            known += [_entry(one, name) for one in printed]
            beside += [
                _entry(one, name)
                for table in tables
                for one in table.entries
                if table.name == "end_of_training" and one.row in _SAME_LEARNER and one.metric == "f1"
            ]
            if printed:
                remarks.append(_told(name, printed))
        if known:
            made.append(Table(f"comparison_{task}", f"The paper and us: {task}", _CAPTION, known + beside, remarks))
    return made


def _entry(one: Entry, study: str) -> Entry:
    """Return the number in a row that says when it was taken, and in its study's column."""
    row = f"{one.row}, {one.column.replace('end of training', 'at the end')}"
    return Entry(row, one.metric, study, one.mean, one.low, one.high, one.paper)


def _told(name: str, entries: Sequence[Entry]) -> str:
    """In words how many of the paper's numbers our intervals hold, and on which side the others lie."""
    within = sum(one.paper is not None and one.low <= one.paper <= one.high for one in entries)
    above = sum(one.paper is not None and one.paper > one.high for one in entries)
    return (
        f"{name}: of {len(entries)} numbers of the paper {within} lie within our intervals, {above} above them and "
        f"{len(entries) - within - above} below."
    )
