"""The spectra dataset: Parquet fragments, one for each pack and epoch, that exist whole or not at all."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
import pyarrow.parquet as pq

from aelle_core.errors import UserError
from aelle_core.files import write_atomically
from aelle_core.records import FILE_SCHEMA, PARTITION_KEYS, SCHEMA, SCHEMA_VERSION, NetworkRecord, records_table

_MARKER = "_aelle.json"
_FORMAT = "aelle-spectra"
_MERGED = "merged-"
_REPLACES = b"aelle_replaces"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ORDER = [(key, "ascending") for key in ("study", "cell", "network", "epoch")]

Selection = str | int | Sequence[str] | Sequence[int] | None


class StoreError(UserError):
    """A file or directory that is not what the store expects; the message names it."""


class SpectraStore:
    """Losses and spectra of networks at every epoch, in a directory.

        _aelle.json                                     says what this is, and the schema's version
        study=S/cell=C/epoch=E/PACK.parquet             one fragment for each pack and epoch
        study=S/cell=C/epoch=E/merged-....parquet       many of them in one file, after `compact`

    A fragment is written under a name that starts with `_`, flushed, then renamed, so that a reader never sees half
    of one. Its name says what it holds, so that writing it again does nothing. Several processes may write at once.
    Raises StoreError when the directory is another thing, or of another version.
    """

    def __init__(self, path: Path | str, *, create: bool = True) -> None:
        self.path = Path(path).expanduser()
        marker = self.path / _MARKER
        if marker.exists():
            self._check_marker(marker)
            return
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{str(self.path)!r} is a file: expected a directory with spectra")
        if not create:
            raise StoreError(f"no spectra in {str(self.path)!r}: expected a directory with a {_MARKER}")
        if self.path.exists() and any(not each.name.startswith("_") for each in self.path.iterdir()):
            raise StoreError(
                f"{str(self.path)!r} holds other files: expected spectra ({_MARKER}) or an empty directory"
            )
        content = json.dumps({"format": _FORMAT, "schema": SCHEMA_VERSION})
        try:
            write_atomically(marker, lambda temporary: temporary.write_text(content))
        except OSError as error:
            raise StoreError(
                f"{str(self.path)!r} cannot be written ({error}): expected a writable directory"
            ) from error

    @staticmethod
    def _check_marker(marker: Path) -> None:
        try:
            content = json.loads(marker.read_text())
            found = (content["format"], content["schema"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{str(marker)!r} cannot be read ({error!r}): expected a spectra store's marker"
            ) from error
        if found != (_FORMAT, SCHEMA_VERSION):
            raise StoreError(f"{str(marker)!r} says {found}: expected {(_FORMAT, SCHEMA_VERSION)}; use its own version")

    def fragment(self, study: str, cell: str, pack: str, epoch: int) -> Path:
        """Where the fragment of a pack and epoch lies before any compaction."""
        for kind, name in (("study", study), ("cell", cell), ("pack", pack)):
            if not _NAME.fullmatch(name) or name.startswith(_MERGED):
                raise StoreError(f"{kind} name {name!r}: expected letters, digits, '.', '-' and '_', no '_' in front")
        return self.path / f"study={study}" / f"cell={cell}" / f"epoch={epoch}" / f"{pack}.parquet"

    def has(self, study: str, cell: str, pack: str, epoch: int) -> bool:
        """Whether the fragment is stored, by itself or merged."""
        path = self.fragment(study, cell, pack, epoch)
        return path.exists() or any(path.name in replaced_by(merged) for merged in path.parent.glob(f"{_MERGED}*"))

    def write(self, records: Sequence[NetworkRecord]) -> Path:
        """Store the records of one pack and epoch; does nothing when they are stored already.

        Raises StoreError when the records are of several packs or epochs or name a network twice, and passes on
        the system's error when the disk is full, leaving nothing behind.
        """
        places = {(one.study, one.cell, one.pack, one.epoch) for one in records}
        if len(places) != 1:
            raise StoreError(f"{len(records)} records of {len(places)} packs and epochs: expected those of one")
        if len({one.network for one in records}) != len(records):
            raise StoreError(f"records of {records[0].pack!r} name a network twice: expected each once")
        place = places.pop()
        path = self.fragment(*place)
        if not self.has(*place):
            table = records_table(records).select(FILE_SCHEMA.names).cast(FILE_SCHEMA)
            write_atomically(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
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
        """The chosen rows, in the order of study, cell, network and epoch; everything by default.

        Each choice is a value or several; epoch "last" is the last stored epoch of each network. Raises StoreError
        naming the file when one in the directory is broken or does not belong there, and on unknown columns.
        """
        if unknown := sorted(set(columns or ()) - set(SCHEMA.names)):
            raise StoreError(f"unknown column {', '.join(unknown)}: expected some of {', '.join(SCHEMA.names)}")
        choices: dict[str, Selection] = {"study": study, "task": task, "cell": cell, "units": units, "status": status}
        if epoch != "last":
            choices["epoch"] = epoch
        condition = pc.scalar(True)
        for name, value in choices.items():
            if value is not None:
                values = [value] if isinstance(value, str | int) else list(value)
                condition &= pc.field(name).isin(pa.array(values, SCHEMA.field(name).type))
        table = self._dataset().to_table(filter=condition).select(SCHEMA.names).cast(SCHEMA).sort_by(_ORDER)
        if epoch == "last" and table.num_rows:
            latest = table.group_by(["study", "network"]).aggregate([("epoch", "max")])
            latest = latest.rename_columns(["study", "network", "epoch"])
            positions = table.select(["study", "network", "epoch"]).append_column("row", pa.array(range(len(table))))
            table = table.take(positions.join(latest, ["study", "network", "epoch"], join_type="inner")["row"])
            table = table.sort_by(_ORDER)
        return table.select(list(columns)) if columns is not None else table

    def studies(self) -> list[str]:
        """The studies that have rows."""
        return sorted(
            each.name.removeprefix("study=") for each in self.path.glob("study=*") if any(each.rglob("*.parquet"))
        )

    def files(self) -> list[Path]:
        """Every file whose rows count: fragments and merged files, without fragments that were merged.

        Raises StoreError on a file that does not belong in the directory.
        """
        result = []
        for directory, names in _walk(self.path):
            gone = {name for merged in names if merged.startswith(_MERGED) for name in replaced_by(directory / merged)}
            for name in names:
                keys = tuple(part.partition("=")[0] for part in directory.relative_to(self.path).parts)
                if not name.endswith(".parquet") or keys != PARTITION_KEYS:
                    raise StoreError(
                        f"{str(directory / name)!r} does not belong in a spectra store: expected only .parquet files "
                        f"in {'/'.join(f'{key}=...' for key in PARTITION_KEYS)}"
                    )
                if name not in gone:
                    result.append(directory / name)
        return result

    def _dataset(self) -> pds.Dataset:
        partitioning = pds.partitioning(pa.schema([SCHEMA.field(key) for key in PARTITION_KEYS]), flavor="hive")
        files = self.files()
        for path in files:
            _check_file(path)
        dataset_schema = pa.schema([*FILE_SCHEMA, *(SCHEMA.field(key).with_nullable(True) for key in PARTITION_KEYS)])
        return pds.dataset(
            [str(path) for path in files],
            schema=dataset_schema,
            format="parquet",
            partitioning=partitioning,
            partition_base_dir=str(self.path),
        )


def read_stores(paths: Sequence[Path | str], **choices: object) -> pa.Table:
    """Rows of several stores in one table; the choices are those of SpectraStore.read."""
    tables = [SpectraStore(path, create=False).read(**choices) for path in paths]  # type: ignore[arg-type]
    return pa.concat_tables(tables)


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Directories below root with their files, in order, without names that start with `_` or `.`."""
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(("_", ".")))
        yield Path(directory), sorted(name for name in names if not name.startswith(("_", ".")))


def _check_file(path: Path) -> pa.Schema:
    """The schema of a file. Raises StoreError naming it when it is broken or has another schema."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{str(path)!r} is broken ({reason}): expected a complete Parquet file; remove it") from error
    if not schema.equals(FILE_SCHEMA, check_metadata=False):
        odd = sorted(set(schema.names) ^ set(FILE_SCHEMA.names)) or "types"
        raise StoreError(f"{str(path)!r} has another schema (differing in {odd}): expected schema {SCHEMA_VERSION}")
    return schema


def replaced_by(merged: Path) -> set[str]:
    """Names of the fragments (and earlier merged files) whose rows a merged file holds."""
    metadata = _check_file(merged).metadata or {}
    return set(json.loads(metadata.get(_REPLACES, b"[]")))


def write_merged(sources: Sequence[Path], directory: Path) -> Path:
    """Write the rows of several files of one directory into one, which names all the files it replaces."""
    replaced = sorted({name for path in sources for name in (replaced_by(path) | {path.name})})
    table = pa.concat_tables(pq.read_table(path, partitioning=None) for path in sources).sort_by("network")
    table = table.cast(FILE_SCHEMA)
    metadata = {**(FILE_SCHEMA.metadata or {}), _REPLACES: json.dumps(replaced).encode()}
    target = directory / f"{_MERGED}{len(replaced):07d}.parquet"
    table = table.replace_schema_metadata(metadata)
    return write_atomically(target, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
