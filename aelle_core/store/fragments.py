"""The store's files: Parquet with checksums, opened and checked against the schema and their place."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.parquet as pq

from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place, arrow_file, has_no_answer, unreachable
from aelle_core.foundation.counting import counted
from aelle_core.store.schema import FILE_SCHEMA, REQUIRED, SCHEMA_VERSION, StoreError
from aelle_core.store.statement import REMEDY, Identity, Statement, fragment_metadata, replaced_names, stated

SUFFIX = ".parquet"
MERGED = "merged-"
CHECKED = pds.ParquetFileFormat(
    default_fragment_scan_options=pds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MERGED_NAME = re.compile(rf"{MERGED}([0-9]+)(-[0-9a-f]+)?{re.escape(SUFFIX)}")


def check_store_name(kind: str, name: str) -> None:
    """Raise StoreError unless `name` can name a study, cell or pack (`kind`)."""
    if not _NAME.fullmatch(name) or name.startswith(MERGED):
        expected = f"letters, digits, '.', '-' and '_', with a letter or digit in front and not {MERGED!r}"
        raise StoreError(f"{kind} name {name!r}: expected {expected}")


def is_name(name: str) -> bool:
    """Return whether a study or a cell can have that name."""
    return _NAME.fullmatch(name) is not None


def is_file_name(name: str) -> bool:
    """Return whether a fragment or a merged file can have that name."""
    if name.startswith(MERGED):
        return _MERGED_NAME.fullmatch(name) is not None
    return name.endswith(SUFFIX) and _NAME.fullmatch(name.removesuffix(SUFFIX)) is not None


def merged_packs(name: str) -> int | None:
    """Return how many packs a merged file holds at most, by its name; None for the name of a fragment."""
    match = _MERGED_NAME.fullmatch(name)
    return None if match is None else int(match[1])


def write_fragment(table: pa.Table, identity: Identity, path: Place, root: Place) -> Place:
    """Write a pack's rows with what they are, whole or not at all. The store, at `root`, is not made again."""
    said = table.replace_schema_metadata(fragment_metadata(table, identity))
    return write_atomically(path, lambda temporary: pq.write_table(said, temporary, **WRITING), within=root)


WRITING = {
    "compression": "zstd",
    "use_dictionary": ["task", "status", "pack"],  # numbers that never repeat only grow by it: a third larger
    "use_byte_stream_split": ["spectrum_hidden.list.element", "spectrum_full.list.element"],
    "write_page_checksum": True,
}
"""How pyarrow is to write the store's files."""


def read_whole(path: Place) -> pa.Table:
    """Return all rows of a file. Raises StoreError naming it when its content is damaged, FileNotFoundError when it
    is not there."""
    name, filesystem = arrow_file(path)
    try:
        return pq.read_table(name, filesystem=filesystem, partitioning=None, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error


def broken(path: Place, error: Exception) -> StoreError:
    """Return what to say of a file that pyarrow could not read, or could not get."""
    if has_no_answer(error):
        return StoreError(str(unreachable(path, error)))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return StoreError(f"{str(path)!r} is broken ({reason}): expected a complete Parquet file; {REMEDY}")


@dataclass(frozen=True)
class Opened:
    """A file whose schema and place have been checked: for a dataset, what it says it is (older files: nothing), how
    many rows it has, and, where it is a merged one, the names of the files that it stands for."""

    path: Place
    fragment: pds.ParquetFileFragment
    statement: Statement | None
    rows: int
    replaces: frozenset[str]


def opened(path: Place, study: str, cell: str, epoch: int) -> Opened:
    """Open a file of a study, cell and epoch, reading its footer alone.

    Raises StoreError naming it when it is broken, has another schema, or says that it is another file;
    FileNotFoundError when it is not there.
    """
    name, filesystem = arrow_file(path)
    fragment = CHECKED.make_fragment(name, filesystem)
    try:
        schema, footer = fragment.physical_schema, fragment.metadata
    except FileNotFoundError:
        raise  # a compaction has replaced it
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error
    _check_schema(path, schema)
    metadata = footer.metadata or {}
    merged = path.name.startswith(MERGED)
    statement = stated(path, schema.names, metadata)
    if statement is not None:
        pack = None if merged else path.name.removesuffix(SUFFIX)
        statement.check_identity(path, Identity(study, cell, epoch, pack))
        if statement.rows != footer.num_rows:
            raise StoreError(
                f"{str(path)!r} has {counted(footer.num_rows, 'row')}: expected {statement.rows}; {REMEDY}"
            )
    replaces = replaced_names(path, metadata) if merged else frozenset()
    return Opened(path, fragment, statement, footer.num_rows, replaces)


def _check_schema(path: Place, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(b"aelle_schema", b"").decode(errors="replace")
    damaged = version == SCHEMA_VERSION
    remedy = REMEDY if damaged else f"read it with the AeLLE that wrote it, or, if it is damaged, {REMEDY}"
    names = set(schema.names)
    odd = sorted((names - set(FILE_SCHEMA.names)) | (REQUIRED - names))
    if odd or any(not column.equals(FILE_SCHEMA.field(column.name)) for column in schema):
        differ = odd or "types"
        raise StoreError(
            f"{str(path)!r} has another schema (differing in {differ}): expected schema {SCHEMA_VERSION}; {remedy}"
        )
    if version != SCHEMA_VERSION:
        raise StoreError(f"{str(path)!r} says schema {version!r}: expected schema {SCHEMA_VERSION!r}; {remedy}")


def packs_of(names: Iterable[str]) -> frozenset[str]:
    """Return the packs among names of fragments and merged files."""
    return frozenset(name.removesuffix(SUFFIX) for name in names if not name.startswith(MERGED))
