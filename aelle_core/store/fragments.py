"""The store's files: Parquet with checksums, checked against the schema when they are read."""

import json
import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.parquet as pq

from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place, arrow_file, has_no_answer, unreachable
from aelle_core.store.schema import FILE_SCHEMA, SCHEMA_VERSION, StoreError

SUFFIX = ".parquet"
MERGED = "merged-"
REPLACES = b"aelle_replaces"
CHECKED = pds.ParquetFileFormat(
    default_fragment_scan_options=pds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(kind: str, name: str) -> None:
    """Raise StoreError unless `name` can be that of a study, cell or pack ("kind")."""
    if not _NAME.fullmatch(name) or name.startswith(MERGED):
        expected = f"letters, digits, '.', '-' and '_', with a letter or digit in front and not {MERGED!r}"
        raise StoreError(f"{kind} name {name!r}: expected {expected}")


def write_table(table: pa.Table, path: Place, root: Place) -> Place:
    """Write a table as Parquet with checksums, whole or not at all. The store, at `root`, is not made again."""
    return write_atomically(path, lambda temporary: pq.write_table(table, temporary, **WRITING), within=root)


WRITING = {
    "compression": "zstd",
    "use_dictionary": ["task", "status", "pack"],  # numbers that never repeat only grow by it: a third larger
    "use_byte_stream_split": ["spectrum_hidden.list.element", "spectrum_full.list.element"],
    "write_page_checksum": True,
}
"""How pyarrow is to write the store's files."""


def read_whole(path: Place) -> pa.Table:
    """All rows of a file. Raises StoreError naming it when its content is damaged, FileNotFoundError when it is not
    there."""
    name, filesystem = arrow_file(path)
    try:
        return pq.read_table(name, filesystem=filesystem, partitioning=None, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error


def broken(path: Place, error: Exception) -> StoreError:
    """What to say of a file that pyarrow could not read, or could not get."""
    if has_no_answer(error):
        return StoreError(str(unreachable(path, error)))
    reason = str(error).strip().splitlines()[0]
    return StoreError(f"{str(path)!r} is broken ({reason}): expected a complete Parquet file; remove it")


def opened(path: Place, partition: "pds.Expression | None" = None) -> pds.ParquetFileFragment:
    """A file for a dataset, its schema checked. Raises StoreError naming it when it is broken or has another schema."""
    name, filesystem = arrow_file(path)
    fragment = CHECKED.make_fragment(name, filesystem, partition_expression=partition)
    try:
        schema = fragment.physical_schema
    except FileNotFoundError:
        raise  # a compaction has replaced it
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error
    if not schema.equals(FILE_SCHEMA, check_metadata=False):
        odd = sorted(set(schema.names) ^ set(FILE_SCHEMA.names)) or "types"
        raise StoreError(f"{str(path)!r} has another schema (differing in {odd}): expected schema {SCHEMA_VERSION}")
    version = (schema.metadata or {}).get(b"aelle_schema", b"").decode()
    if version != SCHEMA_VERSION:
        raise StoreError(f"{str(path)!r} says schema {version!r}: expected schema {SCHEMA_VERSION!r}")
    return fragment


def replaced_by(merged: Place) -> frozenset[str]:
    """Names of the fragments (and earlier merged files) whose rows a merged file holds."""
    metadata = opened(merged).physical_schema.metadata or {}
    return frozenset(json.loads(metadata.get(REPLACES, b"[]")))


def packs_of(names: Iterable[str]) -> frozenset[str]:
    """The packs among names of fragments and merged files."""
    return frozenset(name.removesuffix(SUFFIX) for name in names if not name.startswith(MERGED))
