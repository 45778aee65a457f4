"""Merging a store's many fragments into few files, safe against a kill at any moment."""

import time
from dataclasses import dataclass

from aelle_core.store import SpectraStore, replaced_by, write_merged

_ABANDONED_SECONDS = 3600


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
    writers go when they are an hour old. Only one compaction may run at a time; writers may go on beside it.
    """
    files = store.files()
    for directory in sorted({path.parent for path in files}):
        sources = [path for path in files if path.parent == directory]
        merged = write_merged(sources, directory) if len(sources) > 1 else sources[0]
        for name in replaced_by(merged):  # also those that an earlier, stopped compaction has left
            (directory / name).unlink(missing_ok=True)
    leftovers = [
        path for path in store.path.rglob("_*.parquet.*") if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    ]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return Compaction(len(files), len(store.files()), len(leftovers))
