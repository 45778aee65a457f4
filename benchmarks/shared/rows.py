"""Measured rows in a CSV file: a run that was stopped goes on with what is missing."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from aelle_core.files.atomic import write_atomically

Row = Mapping[str, str]


class Rows:
    """The rows of a CSV file, which is written whole after every addition.

    `key` names the columns that say what a row measures: rows are added for a key at once, or not at all.
    """

    def __init__(self, path: Path, key: Sequence[str], values: Sequence[str]) -> None:
        self.path, self.key, self.columns = path, tuple(key), (*key, *values)
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    def has(self, *key: object) -> bool:
        """Return whether rows of this key are there; fewer values than columns of the key stand for all that begin
        so."""
        wanted = tuple(map(str, key))
        return any(tuple(row[name] for name in self.key[: len(wanted)]) == wanted for row in self.rows)

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows and write the file."""
        self.rows += [{name: _text(row[name]) for name in self.columns} for row in rows]

        def write(temporary: Path) -> None:
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)

        write_atomically(self.path, write)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
