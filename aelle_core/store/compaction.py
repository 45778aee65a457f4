"""Merging a store's many fragments into few files, beside readers and writers, safe against a kill at any moment."""

import json
import math
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aelle_core.files.atomic import write_atomically
from aelle_core.files.lock import TakenError, alone
from aelle_core.files.places import Place, each_of
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.store.fragments import MERGED, REPLACES, SUFFIX, WRITING, packs_of, read_whole, replaced_by
from aelle_core.store.listing import Directory
from aelle_core.store.schema import FILE_SCHEMA

_ABANDONED_SECONDS = 3600
_LOCK = "_compaction.lock"
_PACKS_AT_ONCE = 1024
_ROWS = 65_536  # in a row group at most
Source = tuple[str, frozenset[str]]
"""A file to merge, and the packs in it that an earlier one of them holds as well."""


@dataclass(frozen=True)
class Compaction:
    """Files before and after, and leftovers of killed writers that were removed."""

    before: int
    after: int
    removed_leftovers: int


def compact(store: SpectraStore, *, minimum_files: int | None = None) -> Compaction:
    """Merge the fragments of each study, cell and epoch into one file.

    With `minimum_files` (2 or more) only where so many are there of a size, a fragment's or a merged file's, and these
    alone: cheap enough to be called again and again while a sweep runs, as a row is then written again only every time
    that its file grows by that factor.

    A merged file lists the fragments it replaces and appears whole, under a name of its own; from then on readers
    pass over those, so that no row is lost or doubled wherever the work is stopped. Then they are deleted. Temporary
    files of killed writers go when they are an hour old. Readers and writers may go on beside it. Raises StoreError
    when another compaction of the store is running, and when a file in it is broken or does not belong there.
    """
    if minimum_files is not None and minimum_files < 2:
        raise StoreError(f"minimum_files={minimum_files}: expected 2 or more, or None to merge all")
    try:
        with alone(store.path, _LOCK) as renew:
            before = after = 0
            for directory in store.contents.directories():
                before += len(directory.counted)
                after += len(directory.counted)
                while group := _group(directory, minimum_files):
                    renew()
                    try:
                        _write_merged(store, directory, group)
                    except FileNotFoundError:  # merged meanwhile by one that was taken for dead; or all is lost
                        store.check_is_there()
                        break
                    after -= len(group) - 1
                    directory = store.contents.directory(directory.study, directory.cell, directory.epoch)
                _remove_replaced(store, directory)
            return Compaction(before, after, _remove_leftovers(store.path))
    except TakenError as error:
        raise StoreError(f"{str(store.path)!r} is being compacted already: expected one at a time") from error


def _group(directory: Directory, minimum: int | None) -> list[str]:
    """Files to merge into one: all, or the smallest of like size that are enough; empty where there are none."""
    if minimum is None:
        return list(directory.counted) if len(directory.counted) > 1 else []
    sizes: dict[int, list[str]] = {}
    for name in directory.counted:
        packs = _packs_in(name)
        sizes.setdefault(int(math.log(packs, minimum) + 1e-9) if packs > 1 else 0, []).append(name)
    return next((names for _, names in sorted(sizes.items()) if len(names) >= minimum), [])


def _packs_in(name: str) -> int:
    """How many packs a file holds, at least: merged files say it in their names."""
    return max(1, int(name.removeprefix(MERGED).split("-")[0].split(".")[0])) if name.startswith(MERGED) else 1


def _write_merged(store: SpectraStore, directory: Directory, names: Sequence[str]) -> Place:
    """Write the rows of several files of one directory into one, which names all the files it replaces."""
    place = directory.place
    replaced: set[str] = set()
    sources = []
    for name in names:
        held = replaced_by(place / name) if name.startswith(MERGED) else frozenset()
        own = {name, *held}
        sources.append((name, packs_of(held & replaced)))
        replaced |= own
    schema = FILE_SCHEMA.with_metadata(
        {**(FILE_SCHEMA.metadata or {}), REPLACES: json.dumps(sorted(replaced)).encode()}
    )

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema, **WRITING) as writer:
            for batch in _batches(sources):
                tables = each_of(place, lambda source: _rows_once(place / source[0], source[1]), batch)
                writer.write_table(pa.concat_tables(tables).sort_by("network").cast(schema), row_group_size=_ROWS)

    count = sum(not name.startswith(MERGED) for name in replaced)
    # A name of its own: two compactions at once must not write one file in the place of the other's.
    target = place / f"{MERGED}{count:07d}-{uuid.uuid4().hex[:12]}{SUFFIX}"
    return write_atomically(target, write, within=store.path)


def _batches(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Files that are held in memory at a time."""
    batch: list[Source] = []
    packs = 0
    for source in sources:
        batch.append(source)
        packs += _packs_in(source[0])
        if packs >= _PACKS_AT_ONCE:
            yield batch
            batch, packs = [], 0
    if batch:
        yield batch


def _rows_once(path: Place, doubled: frozenset[str]) -> pa.Table:
    """The rows of a file without those of packs that another source holds as well."""
    table = read_whole(path).cast(FILE_SCHEMA)
    return table.filter(~pc.field("pack").isin(pa.array(sorted(doubled), pa.string()))) if doubled else table


def _remove_replaced(store: SpectraStore, directory: Directory) -> None:
    """Remove what merged files stand for, also what an earlier, stopped compaction has left."""
    now = store.contents.directory(directory.study, directory.cell, directory.epoch)
    each_of(now.place, lambda name: (now.place / name).unlink(missing_ok=True), sorted(now.replaced))


def _remove_leftovers(root: Place) -> int:
    """An object store has none: an upload that was not completed is no object."""
    if not isinstance(root, Path):
        return 0
    leftovers = [path for path in root.rglob("_*.parquet.*") if _abandoned(path)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:  # its writer has just renamed it
        return False
