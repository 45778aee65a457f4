"""From a table with named columns to recordings: which column names the sequence, which is the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aelle_core.foundation.errors import UserError, some_of, unknown_name
from aelle_core.tasks.arrays.recordings import Recordings

if TYPE_CHECKING:
    import pyarrow as pa

SEQUENCE, TIME, TARGET = ("sequence", "series"), ("time",), ("target", "label")
"""What columns are called that are taken for these without being named."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what; what is None is found by its usual name, where there is such a column.

    sequence  names the sequence that a row belongs to; without it a file is one sequence
    time      orders the rows of a sequence; without it they keep the file's order
    target    what is to be learned: one column, or several
    ignore    columns that are left out
    """

    sequence: str | None = None
    time: str | None = None
    target: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()

    def recordings(self, table: "pa.Table", source: str) -> Recordings:
        """Return the table's sequences in the order in which they first appear. Raises UserError where a column is
        missing or holds what is not expected there."""
        present = list(table.column_names)
        if len(set(present)) != len(present):
            raise UserError(f"arrays: {source} has two columns of one name: expected a name for each")
        sequence = self._found("sequence", self.sequence, SEQUENCE, present)
        time = self._found("time", self.time, TIME, present)
        for name in (*(self.target or ()), *self.ignore):
            if name not in present:
                raise unknown_name(f"column of {source}", name, present)
        targets = self.target
        if targets is None:
            targets = tuple(name for name in TARGET if name in present)[:1]
        features = [name for name in present if name not in {sequence, time, *targets, *self.ignore}]
        if not features:
            raise UserError(f"arrays: {source} has the columns {some_of(present)}: expected one that is a feature")
        values = np.stack([_numbers(table, name, source) for name in features], axis=1)
        labels = [_plain(table, name, source) for name in targets]
        groups = _plain(table, sequence, source) if sequence else np.zeros(len(values), dtype=int)
        order, lengths, names = _grouped(groups, _plain(table, time, source) if time else None)
        wanted = None
        if labels:
            wanted = np.stack([column.astype(str) for column in labels] if _texts(labels) else labels, axis=1)[order]
            wanted = _once_a_sequence(wanted, lengths)
        return Recordings(
            values[order],
            lengths,
            wanted,
            features,
            list(targets),
            names if sequence else [source.rsplit("/", 1)[-1].strip("'")],
            source,
        )

    def _found(self, what: str, given: str | None, usual: Sequence[str], present: list[str]) -> str | None:
        if given is not None and given not in present:
            raise unknown_name(f"{what} column", given, present)
        return given or next((name for name in usual if name in present and name not in self.ignore), None)


def _texts(labels: Sequence[np.ndarray]) -> bool:
    return any(column.dtype.kind == "U" for column in labels)


def _is_number(code: object) -> bool:
    try:
        float(str(code))
    except ValueError:
        return False
    return True


def _numbers(table: "pa.Table", name: str, source: str) -> np.ndarray:
    codes = _plain(table, name, source, missing=True)
    if codes.dtype.kind not in "fiub":
        shown = next((code for code in codes.tolist() if not _is_number(code)), codes[0])
        raise UserError(
            f"arrays: column {name!r} of {source} holds {str(shown)!r}: expected numbers; name it as sequence=, "
            "time=, target= or ignore= otherwise"
        )
    return codes.astype(np.float64)


def _plain(table: "pa.Table", name: str, source: str, missing: bool = False) -> np.ndarray:
    """Return a column as numbers, texts, or whole numbers where it holds dates; with `missing`, NaN for what is not
    there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count and not (missing and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type))):
        row = pc.index(pc.is_null(column), True).as_py()
        raise UserError(
            f"arrays: {name!r} has no value in row {row + 1} of {source} ({column.null_count} such in all): expected "
            "one in every row; fill them in or leave the column out"
        )
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int64() if pa.types.is_timestamp(column.type) else column.type).cast(pa.int64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values = column.to_numpy()
    return values.astype(str) if values.dtype.kind == "O" else values


def _grouped(groups: np.ndarray, time: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the order of rows in which sequences lie one after another, their lengths and their names."""
    known, first, codes, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    appearance = np.argsort(first, kind="stable")
    rank = np.empty(len(known), dtype=int)
    rank[appearance] = np.arange(len(known))
    keys = (rank[codes],) if time is None else (time, rank[codes])
    order = np.lexsort(keys)
    return order, counts[appearance].astype(np.int64), [str(known[code]) for code in appearance]


def _once_a_sequence(targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return one target for each of several sequences where none changes within a sequence; those of all steps
    otherwise."""
    starts = np.cumsum(lengths) - lengths
    first = targets[starts]
    same = (targets == np.repeat(first, lengths, axis=0)).all()
    return first if same and len(lengths) > 1 else targets


def names_of(label: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the columns that an option names, as a list or separated by commas. Raises UserError on other things."""
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(f"arrays: {label}={given!r}: expected names of columns")
    return tuple(np.unique(names)) if label == "ignore" else tuple(names)
