"""The spectra dataset: Parquet fragments, one for each pack and epoch, that exist whole or not at all."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
import pyarrow.parquet as pq

from aelle_core.files import write_atomically
from aelle_core.records import (
    FILE_SCHEMA,
    PARTITION_KEYS,
    SCHEMA,
    SCHEMA_VERSION,
    NetworkRecord,
    Selection,
    StoreError,
    last_epochs,
    records_table,
    rows_condition,
)

_MARKER = "_aelle.json"
_FORMAT = "aelle-spectra"
MERGED = "merged-"
REPLACES = b"aelle_replaces"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLACE = re.compile(rf"study={_NAME.pattern}/cell={_NAME.pattern}/epoch=[0-9]+")
_EVERY_MERGED = f"study=*/cell=*/epoch=*/{MERGED}*"
_ATTEMPTS = 20
_CHECKED = pds.ParquetFileFormat(
    default_fragment_scan_options=pds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
_ORDER = [(key, "ascending") for key in ("study", "cell", "network", "epoch")]
Result = TypeVar("Result")


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
        try:
            # Looked at before the marker: another process may make this store now, and it writes the marker first.
            foreign = self.path.is_dir() and any(not each.name.startswith(("_", ".")) for each in self.path.iterdir())
            known = marker.exists()
        except OSError as error:
            raise StoreError(f"{str(self.path)!r} cannot be read ({error}): expected a readable directory") from error
        if known:
            self._check_marker(marker)
            return
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{str(self.path)!r} is a file: expected a directory with spectra")
        if not create:
            raise StoreError(f"no spectra in {str(self.path)!r}: expected a directory with a {_MARKER}")
        if foreign:
            raise StoreError(f"{str(self.path)!r} holds other files: expected spectra ({_MARKER}) or nothing at all")
        content = json.dumps({"format": _FORMAT, "schema": SCHEMA_VERSION})
        try:
            write_atomically(marker, lambda temporary: temporary.write_text(content))
        except OSError as error:
            raise StoreError(f"{str(self.path)!r} cannot be written ({error}): expected one that can") from error

    @staticmethod
    def _check_marker(marker: Path) -> None:
        try:
            content = json.loads(marker.read_text())
            found = (content["format"], content["schema"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{str(marker)!r} cannot be read ({error!r}): expected a store's marker") from error
        if found != (_FORMAT, SCHEMA_VERSION):
            raise StoreError(f"{str(marker)!r} says {found}: expected {(_FORMAT, SCHEMA_VERSION)}; use its own version")

    def fragment(self, study: str, cell: str, pack: str, epoch: int) -> Path:
        """Where the fragment of a pack and epoch lies before any compaction."""
        for kind, name in (("study", study), ("cell", cell), ("pack", pack)):
            if not _NAME.fullmatch(name) or name.startswith(MERGED):
                expected = f"letters, digits, '.', '-' and '_', with a letter or digit in front and not {MERGED!r}"
                raise StoreError(f"{kind} name {name!r}: expected {expected}")
        if epoch < 0:
            raise StoreError(f"epoch {epoch} of {pack!r}: expected 0 or more")
        return self.path / f"study={study}" / f"cell={cell}" / f"epoch={epoch}" / f"{pack}.parquet"

    def has(self, study: str, cell: str, pack: str, epoch: int) -> bool:
        """Whether the fragment is stored, by itself or merged."""
        path = self.fragment(study, cell, pack, epoch)
        merged = f"{MERGED}*"
        return path.exists() or self._undisturbed(
            lambda: any(path.name in replaced_by(each) for each in path.parent.glob(merged)), path.parent, merged
        )

    def write(self, records: Sequence[NetworkRecord]) -> Path:
        """Store the records of one pack and epoch; does nothing when they are stored already.

        Raises StoreError when the records are of several packs or epochs, name a network twice or hold values that
        the schema does not take, and passes on the system's error when the disk is full, leaving nothing behind.
        """
        places = {(one.study, one.cell, one.pack, one.epoch) for one in records}
        if len(places) != 1:
            raise StoreError(f"{len(records)} records of {len(places)} packs and epochs: expected those of one")
        if len({one.network for one in records}) != len(records):
            raise StoreError(f"records of {records[0].pack!r} name a network twice: expected each once")
        place = places.pop()
        path = self.fragment(*place)
        if not self.has(*place):
            try:
                table = records_table(records).select(FILE_SCHEMA.names).cast(FILE_SCHEMA)
            except (pa.ArrowException, TypeError, OverflowError) as error:
                raise StoreError(f"records of {place[2]!r}: {error}; expected schema {SCHEMA_VERSION}") from error
            write_table(table, path)
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

        Each choice is a value or several; epoch "last" is the last stored epoch of each network, whatever its status
        there: with status="ok" a network that diverged is not taken from the epoch before. Raises StoreError naming
        the file when one in the directory is broken or does not belong there, and on unknown columns and values. A
        compaction beside it goes unnoticed.
        """
        if unknown := sorted(set(columns or ()) - set(SCHEMA.names)):
            raise StoreError(f"unknown column {', '.join(unknown)}: expected some of {', '.join(SCHEMA.names)}")
        last = isinstance(epoch, str) and epoch == "last"
        condition: dict[str, Selection] = {"study": study, "task": task, "cell": cell, "units": units}
        condition |= {} if last else {"epoch": epoch, "status": status}
        wanted = SCHEMA.names if columns is None else list(columns)
        needed = [name for name in SCHEMA.names if name in {*wanted, *dict(_ORDER), "status"}]
        table = self._undisturbed(lambda: self._rows(needed, rows_condition(condition)), self.path)
        if last:
            table = last_epochs(table).filter(rows_condition({"status": status}))
        return table.sort_by(_ORDER).select(wanted)

    def _rows(self, columns: Sequence[str], condition: pc.Expression) -> pa.Table:
        dataset = self._dataset()
        schema = pa.schema([SCHEMA.field(name) for name in columns], metadata=SCHEMA.metadata)
        try:
            return dataset.to_table(columns=schema.names, filter=condition).cast(schema)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError):
            for path in dataset.files:  # Arrow does not say which file it was
                read_whole(Path(path))
            raise

    def studies(self) -> list[str]:
        """The studies that have rows."""
        return sorted(
            each.name.removeprefix("study=") for each in self.path.glob("study=*") if any(each.rglob("*.parquet"))
        )

    def files(self) -> list[Path]:
        """Every file whose rows count: fragments and merged files, without fragments that were merged.

        Raises StoreError on a file that does not belong in the directory.
        """
        return self._undisturbed(self._listed, self.path)

    def _listed(self) -> list[Path]:
        result = []
        for directory, names in _walk(self.path):
            gone = {name for merged in names if merged.startswith(MERGED) for name in replaced_by(directory / merged)}
            at_home = _PLACE.fullmatch(directory.relative_to(self.path).as_posix())
            for name in names:
                if not name.endswith(".parquet") or not at_home:
                    raise StoreError(
                        f"{str(directory / name)!r} does not belong in a spectra store: expected only .parquet files "
                        "in study=.../cell=.../epoch=..."
                    )
                if name not in gone:
                    result.append(directory / name)
        return result

    def _undisturbed(self, read: Callable[[], Result], root: Path, merged: str = _EVERY_MERGED) -> Result:
        """The result of a read during which no compaction put a merged file in the place of others."""
        for _ in range(_ATTEMPTS):
            before = set(root.glob(merged))
            try:
                result = read()
            except FileNotFoundError:
                if set(root.glob(merged)) == before:
                    raise
                continue
            if set(root.glob(merged)) == before:
                return result
        raise StoreError(f"{str(self.path)!r} changed {_ATTEMPTS} times while it was read: expected one compaction")

    def _dataset(self) -> pds.FileSystemDataset:
        partitioning = pds.partitioning(pa.schema([SCHEMA.field(key) for key in PARTITION_KEYS]), flavor="hive")
        files = self._listed()
        for path in files:
            _check_file(path)
        dataset_schema = pa.schema([*FILE_SCHEMA, *(SCHEMA.field(key).with_nullable(True) for key in PARTITION_KEYS)])
        return pds.dataset(
            [str(path) for path in files],
            schema=dataset_schema,
            format=_CHECKED,
            partitioning=partitioning,
            partition_base_dir=str(self.path),
        )


def read_stores(paths: Sequence[Path | str], **choices: object) -> pa.Table:
    """Rows of several stores in one table, store after store; the choices are those of SpectraStore.read.

    Raises StoreError when a directory holds no spectra, and when no directory is given.
    """
    if not paths:
        raise StoreError("no stores to read: expected at least one directory with spectra")
    tables = [SpectraStore(path, create=False).read(**choices) for path in paths]  # type: ignore[arg-type]
    return pa.concat_tables(tables)


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Directories below root with their files, in order, without names that start with `_` or `.`."""
    for directory, below, names in os.walk(root, onerror=_refuse):
        below[:] = sorted(name for name in below if not name.startswith(("_", ".")))
        yield Path(directory), sorted(name for name in names if not name.startswith(("_", ".")))


def _refuse(error: OSError) -> None:
    """What cannot be listed may hold rows: passing over it would lose them in silence."""
    raise StoreError(f"{error.filename!r} cannot be read ({error.strerror}): expected a readable directory")


def write_table(table: pa.Table, path: Path) -> Path:
    """Write a table as Parquet with checksums, whole or not at all."""
    return write_atomically(
        path,
        lambda temporary: pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=["task", "status", "pack"],  # numbers that never repeat only grow by it: a third larger
            use_byte_stream_split=["spectrum_hidden.list.element", "spectrum_full.list.element"],
            write_page_checksum=True,
        ),
    )


def read_whole(path: Path) -> pa.Table:
    """All rows of a file. Raises StoreError naming it when its content is damaged."""
    try:
        return pq.read_table(path, partitioning=None, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> StoreError:
    reason = str(error).strip().splitlines()[0]
    return StoreError(f"{str(path)!r} is broken ({reason}): expected a complete Parquet file; remove it")


def _check_file(path: Path) -> pa.Schema:
    """The schema of a file. Raises StoreError naming it when it is broken or has another schema."""
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise  # a compaction has replaced it
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error
    if not schema.equals(FILE_SCHEMA, check_metadata=False):
        odd = sorted(set(schema.names) ^ set(FILE_SCHEMA.names)) or "types"
        raise StoreError(f"{str(path)!r} has another schema (differing in {odd}): expected schema {SCHEMA_VERSION}")
    version = (schema.metadata or {}).get(b"aelle_schema", b"").decode()
    if version != SCHEMA_VERSION:
        raise StoreError(f"{str(path)!r} says schema {version!r}: expected schema {SCHEMA_VERSION!r}")
    return schema


def replaced_by(merged: Path) -> set[str]:
    """Names of the fragments (and earlier merged files) whose rows a merged file holds."""
    metadata = _check_file(merged).metadata or {}
    return set(json.loads(metadata.get(REPLACES, b"[]")))
