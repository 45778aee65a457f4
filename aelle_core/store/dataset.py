"""The spectra dataset: Parquet fragments, one for each pack and epoch, that exist whole or not at all."""

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import Place, place
from aelle_core.foundation.counting import counted
from aelle_core.store.definitions import first_wrong
from aelle_core.store.fragments import SUFFIX, check_store_name, write_fragment
from aelle_core.store.listing import Contents, Directory
from aelle_core.store.marker import check_marked, is_marked
from aelle_core.store.reading import check_each_once, checked_rows
from aelle_core.store.schema import (
    PARTITION_KEYS,
    SCHEMA,
    SCHEMA_VERSION,
    NetworkRecord,
    Selection,
    StoreError,
    records_table,
    rows_condition,
)
from aelle_core.store.statement import Identity

_OPEN_AT_ONCE = 1024
_ORDER = [(key, "ascending") for key in ("network", "epoch")]
_CHOSEN_BY = ("task", "units", "status")
"""The columns that rows are chosen by, beside those that their place tells."""


class SpectraStore:
    """Losses and spectra of networks at every epoch, in a directory or at an address such as s3://bucket/prefix.

        _aelle-spectra-1                                says what this is, and the schema's version; empty
        study=S/cell=C/epoch=E/PACK.parquet             one fragment for each pack and epoch
        study=S/cell=C/epoch=E/merged-....parquet       many of them in one file, after `compact`

    In a directory a fragment is written under a name that starts with `_`, flushed, then renamed; in an object store it
    is uploaded whole: a reader never sees half of one. Its name says what it holds, so that writing it again does
    nothing. Several processes may write at once. Raises StoreError when the directory is another thing, or of another
    version, and when an address cannot be reached.
    """

    def __init__(self, path: "str | os.PathLike[str] | ObjectPath", *, create: bool = True) -> None:
        self.path: Place = place(path)
        self.contents = Contents(self.path)
        """What lies in it, for compactions."""
        check_marked(self.path, create=create)

    def check_is_there(self) -> None:
        """Raise StoreError when the store has been removed since it was opened."""
        if not is_marked(self.path):
            raise StoreError(f"{str(self.path)!r} is no longer there: expected the store that was opened")

    def fragment(self, study: str, cell: str, pack: str, epoch: int) -> Place:
        """Return where the fragment of a pack and epoch lies before any compaction."""
        for kind, name in (("study", study), ("cell", cell), ("pack", pack)):
            check_store_name(kind, name)
        if epoch < 0:
            raise StoreError(f"epoch {epoch} of {pack!r}: expected 0 or more")
        return self.path / f"study={study}" / f"cell={cell}" / f"epoch={epoch}" / f"{pack}{SUFFIX}"

    def has(self, study: str, cell: str, pack: str, epoch: int) -> bool:
        """Return True if the fragment exists, alone or merged. For many packs call `stored` once instead."""
        path = self.fragment(study, cell, pack, epoch)
        # On an object store the directory's listing costs no more than asking for one object that is not there.
        return (isinstance(path, Path) and path.exists()) or self.contents.holds(study, cell, epoch, pack)

    def stored(self, study: str, cell: str | None = None) -> dict[tuple[str, str], set[int]]:
        """Return the epochs that are stored of every pack of a study, or of one of its cells, by cell and pack.

        Lists names and opens no fragment: about as fast for all packs as `has` for a few.
        """
        result: dict[tuple[str, str], set[int]] = {}
        for directory in self.contents.directories({study}, None if cell is None else {cell}):
            for pack in directory.packs:
                result.setdefault((directory.cell, pack), set()).add(directory.epoch)
        return result

    def write(self, records: Sequence[NetworkRecord]) -> Place:
        """Store the records of one pack and epoch; does nothing when their fragment is there already. One that has been
        merged appears again, counts for nothing and goes with the next compaction: `has` tells before.

        Raises StoreError when the records are of several packs or epochs, name a network twice or hold values that
        the schema does not take, or when the store has been removed meanwhile: it is not made again. Passes on the
        system's error when the disk is full or an object store does not answer, leaving nothing behind.
        """
        keys = {(record.study, record.cell, record.pack, record.epoch) for record in records}
        if len(keys) != 1:
            raise StoreError(
                f"{counted(len(records), 'record')} of {len(keys)} packs and epochs: expected those of one"
            )
        if len({record.network for record in records}) != len(records):
            raise StoreError(f"records of {records[0].pack!r} name a network twice: expected each once")
        where = keys.pop()
        path = self.fragment(*where)
        self.check_is_there()
        if not path.exists():
            try:
                table = records_table(records).drop_columns(list(PARTITION_KEYS))
            except (pa.ArrowException, TypeError, OverflowError) as error:
                raise StoreError(f"records of {where[2]!r}: {error}; expected schema {SCHEMA_VERSION}") from error
            if wrong := first_wrong(table):
                raise StoreError(f"records of {where[2]!r}: {wrong.sentence}")
            study, cell, pack, epoch = where
            try:
                write_fragment(table, Identity(study, cell, epoch, pack), path, self.path)
            except FileNotFoundError:
                self.check_is_there()
                raise
        return path

    def read(
        self,
        *,
        study: str | Sequence[str] | None = None,
        task: str | Sequence[str] | None = None,
        cell: str | Sequence[str] | None = None,
        units: int | Sequence[int] | None = None,
        epoch: int | str | Sequence[int] | None = None,
        status: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the chosen rows, in the order of study, cell, network and epoch; everything by default.

        Each choice is a value or several; epoch "last" is the last stored epoch of each network, whatever its status
        there: with status="ok" a network that diverged is not taken from the epoch before. Takes the memory of the
        result and, for putting it in order, of one cell more. Raises StoreError naming the file when one of the chosen
        cells and epochs is broken or does not belong there, and on unknown columns and values. A compaction beside it
        goes unnoticed.
        """
        if columns is not None and (isinstance(columns, str) or not hasattr(columns, "__iter__")):
            raise StoreError(f"columns={columns!r}: expected a list of names")
        if unknown := sorted(str(name) for name in columns or () if name not in SCHEMA.names):
            raise StoreError(f"unknown column {', '.join(unknown)}: expected some of {', '.join(SCHEMA.names)}")
        last = isinstance(epoch, str) and epoch == "last"
        condition = rows_condition({"study": study, "cell": cell, "epoch": None if last else epoch})  # checks them
        condition = rows_condition({"task": task, "units": units})
        with_status = condition & rows_condition({"status": status})
        wanted = SCHEMA.names if columns is None else list(columns)
        needed = [name for name in SCHEMA.names if name in {*wanted, *dict(_ORDER)}]
        directories = self.contents.directories(_chosen(study), _chosen(cell), None if last else _chosen(epoch))
        if not directories:
            self.check_is_there()
        result = [_nothing(needed)]
        for _, members in groupby(directories, key=lambda directory: (directory.study, directory.cell)):
            if last:
                tables = list(self._last_epochs(list(members), needed, condition, with_status))
            else:
                tables = [self._rows(directory, needed, with_status) for directory in members]
            result.append(pa.concat_tables(tables).sort_by(_ORDER))
        return pa.concat_tables(result).select(wanted)

    def _last_epochs(
        self, directories: Sequence[Directory], columns: Sequence[str], known: pc.Expression, shown: pc.Expression
    ) -> Iterator[pa.Table]:
        """Of each network of one cell the row of its last epoch, if it is to be `shown`."""
        seen: set[str] = set()
        for directory in reversed(directories):
            names = set(self._rows(directory, ["network"], known)["network"].to_pylist()) - seen
            of_these = pc.field("network").isin(pa.array(sorted(names), pa.string()))
            yield self._rows(directory, columns, shown & of_these if names else pc.scalar(False))
            seen |= names

    def _rows(self, directory: Directory, columns: Sequence[str], condition: pc.Expression) -> pa.Table:
        """Rows of one study, cell and epoch, in any order."""
        known: list[Directory] = [directory]

        def read() -> pa.Table:
            now = known.pop() if known else self.contents.directory(directory.study, directory.cell, directory.epoch)
            names = list(now.counted)
            parts = [names[start : start + _OPEN_AT_ONCE] for start in range(0, len(names), _OPEN_AT_ONCE)]
            if not parts:
                self.check_is_there()
                return _nothing(columns)
            needed = [*columns, *_CHOSEN_BY]
            rows = pa.concat_tables(
                checked_rows(now, {name: now.counted[name] for name in part}, needed) for part in parts
            )
            check_each_once(now, rows["network"])
            identity = {"study": now.study, "cell": now.cell, "epoch": now.epoch}
            for key, value in identity.items():
                field = SCHEMA.field(key)
                rows = rows.append_column(field, pa.repeat(pa.scalar(value, field.type), len(rows)))
            return _as_asked(rows.filter(condition), columns)

        return self.contents.undisturbed(read)

    def studies(self) -> list[str]:
        """Return the studies that have rows."""
        return sorted({directory.study for directory in self.contents.directories()})

    def files(self) -> list[Place]:
        """Return every file whose rows count: fragments and merged files, without fragments that were merged.

        Raises StoreError on a file that does not belong in the directory.
        """
        return [directory.path / name for directory in self.contents.directories() for name in directory.counted]


def read_stores(paths: "Sequence[str | os.PathLike[str] | ObjectPath]", **choices: Any) -> pa.Table:
    """Rows of several stores in one table, store after store; the choices are those of SpectraStore.read.

    Raises StoreError when a directory holds no spectra, and when no directory is given.
    """
    if not paths:
        raise StoreError("no stores to read: expected at least one directory with spectra")
    return pa.concat_tables([SpectraStore(path, create=False).read(**choices) for path in paths])


def _chosen(value: Selection) -> Collection[Any] | None:
    """Return a choice as a set; None for everything."""
    if value is None:
        return None
    return {value} if isinstance(value, str) or not hasattr(value, "__iter__") else set(value)


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in columns], metadata=SCHEMA.metadata)


def _nothing(columns: Sequence[str]) -> pa.Table:
    return _schema(columns).empty_table()


def _as_asked(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return these columns of rows; nulls for measures that no file has."""
    return rows.select(list(columns)).cast(_schema(columns))
