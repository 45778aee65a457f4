"""One process at a time in a run directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aelle_core.files.lock import alone
from aelle_core.study import RunDirectory

_NAME = "_aelle-run.lock"
_held: set[Path] = set()


@contextmanager
def run_lease(directory: str | Path) -> Iterator[None]:
    """Hold a run directory for the block; what is nested in it, in one process, holds it too.

    Raises TakenError, a UserError that names the other process and its host, when that holds it. The lock goes with its
    process, however that ends. Object stores, and directories that do not exist yet, are not held: there two runs at
    once do work twice and no harm, for what they write is the same, and each file appears whole.
    """
    root = RunDirectory(directory).path
    if not isinstance(root, Path) or not root.is_dir() or (root := root.resolve()) in _held:
        yield
        return
    with alone(root, _NAME):
        _held.add(root)
        try:
            yield
        finally:
            _held.discard(root)
