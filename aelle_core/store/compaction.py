"""Merging a store's many fragments into few files, beside readers and writers, safe against a kill at any moment."""

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from aelle_core.files.atomic import write_atomically
from aelle_core.files.lock import TakenError, alone
from aelle_core.files.places import Place, each_of
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.store.digests import ColumnDigest
from aelle_core.store.fragments import MERGED, SUFFIX, WRITING, merged_packs, opened, packs_of
from aelle_core.store.listing import Directory
from aelle_core.store.reading import check_each_once, checked_rows
from aelle_core.store.schema import FILE_SCHEMA
from aelle_core.store.statement import CONTENT, Identity, content, merged_metadata

_ABANDONED_SECONDS = 3600
_LOCK = "_compaction.lock"
_PACKS_AT_ONCE = 1024
_ROWS = 65_536  # in a row group at most


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
        with alone(store.path, _LOCK, named=False) as renew:
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
    return max(1, merged_packs(name) or 1)


def _write_merged(store: SpectraStore, directory: Directory, names: Sequence[str]) -> Place:
    """Write the rows of several files of one directory into one, which names all the files it replaces."""
    path = directory.path
    replaced: set[str] = set()
    sources: dict[str, frozenset[str]] = {}
    for name in names:
        held: frozenset[str] = frozenset()
        if name.startswith(MERGED):
            held = opened(path / name, directory.study, directory.cell, directory.epoch).replaces
        sources[name] = packs_of(held & replaced)
        replaced |= {name, *held}
    identity = Identity(directory.study, directory.cell, directory.epoch, None)
    schema = FILE_SCHEMA.with_metadata((FILE_SCHEMA.metadata or {}) | merged_metadata(identity, sorted(replaced)))

    def write(temporary: Path) -> None:
        rows, digests = 0, [ColumnDigest() for _ in schema]
        networks: list[pa.ChunkedArray] = []
        with pq.ParquetWriter(temporary, schema, **WRITING) as writer:
            for batch in _batches(sources):
                table = checked_rows(directory, batch, FILE_SCHEMA.names).sort_by("network").cast(schema)
                for digest, column in zip(digests, table.columns, strict=True):
                    digest.add(column)
                networks.append(table["network"])
                rows += table.num_rows
                writer.write_table(table, row_group_size=_ROWS)
            check_each_once(directory, pa.chunked_array([chunk for column in networks for chunk in column.chunks]))
            said = content(rows, [digest.text() for digest in digests])
            writer.add_key_value_metadata({CONTENT.decode(): json.dumps(said)})

    count = sum(not name.startswith(MERGED) for name in replaced)
    # A name of its own: two compactions at once must not write one file in the place of the other's.
    target = path / f"{MERGED}{count:07d}-{uuid.uuid4().hex[:12]}{SUFFIX}"
    return write_atomically(target, write, within=store.path)


def _batches(sources: Mapping[str, frozenset[str]]) -> Iterator[dict[str, frozenset[str]]]:
    """Files that are held in memory at a time, each with the packs in it that an earlier one holds as well."""
    batch: dict[str, frozenset[str]] = {}
    packs = 0
    for name, doubled in sources.items():
        batch[name] = doubled
        packs += _packs_in(name)
        if packs >= _PACKS_AT_ONCE:
            yield batch
            batch, packs = {}, 0
    if batch:
        yield batch


def _remove_replaced(store: SpectraStore, directory: Directory) -> None:
    """Remove what merged files stand for, also what an earlier, stopped compaction has left. Merged files are read
    back before: one that does not hold what it says must not cost what it replaces."""
    now = store.contents.directory(directory.study, directory.cell, directory.epoch)
    if not now.replaced:
        return
    for name in filter(lambda file: file.startswith(MERGED), now.counted):
        checked_rows(now, {name: frozenset()}, FILE_SCHEMA.names)
    each_of(now.path, lambda name: (now.path / name).unlink(missing_ok=True), sorted(now.replaced))


def _remove_leftovers(root: Place) -> int:
    """Delete what interrupted writes left behind; return how many files. An object store has none."""
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
