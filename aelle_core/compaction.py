"""Merging a store's many fragments into few files, safe against a kill at any moment."""

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from aelle_core.store import (
    FILE_SCHEMA,
    MERGED,
    REPLACES,
    SpectraStore,
    StoreError,
    read_whole,
    replaced_by,
    write_table,
)

_ABANDONED_SECONDS = 3600
_LOCK = "_compaction.lock"


@dataclass(frozen=True)
class Compaction:
    """Files before and after, and leftovers of killed writers that were removed."""

    before: int
    after: int
    removed_leftovers: int


def compact(store: SpectraStore) -> Compaction:
    """Merge the fragments of each study, cell and epoch into one file.

    The merged file lists the fragments it replaces and appears in one rename; from then on readers pass over those,
    so that no row is lost or doubled wherever the work is stopped. Then they are deleted. Temporary files of killed
    writers go when they are an hour old. Readers and writers may go on beside it. Raises StoreError when another
    compaction of the store is running, and when a file in it is broken or does not belong there.
    """
    with _alone(store):
        files = store.files()
        for directory, members in groupby(files, key=lambda path: path.parent):
            sources = list(members)
            merged = _write_merged(sources, directory) if len(sources) > 1 else sources[0]
            for name in replaced_by(merged):  # also those that an earlier, stopped compaction has left
                (directory / name).unlink(missing_ok=True)
        leftovers = [path for path in store.path.rglob("_*.parquet.*") if _abandoned(path)]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return Compaction(len(files), len(store.files()), len(leftovers))


@contextmanager
def _alone(store: SpectraStore) -> Iterator[None]:
    """Two at once could merge one fragment into two files, and its rows would count twice."""
    with (store.path / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system drops it when the process dies
        except BlockingIOError as error:
            raise StoreError(f"{str(store.path)!r} is being compacted already: expected one at a time") from error
        yield


def _abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:  # its writer has just renamed it
        return False


def _write_merged(sources: Sequence[Path], directory: Path) -> Path:
    """Write the rows of several files of one directory into one, which names all the files it replaces."""
    replaced = sorted({name for path in sources for name in (replaced_by(path) | {path.name})})
    table = pa.concat_tables([read_whole(path) for path in sources]).sort_by("network").cast(FILE_SCHEMA)
    metadata = {**(FILE_SCHEMA.metadata or {}), REPLACES: json.dumps(replaced).encode()}
    target = directory / f"{MERGED}{len(replaced):07d}.parquet"
    return write_table(table.replace_schema_metadata(metadata), target)
