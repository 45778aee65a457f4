"""Joint run directories."""

from collections.abc import Sequence
from pathlib import Path

from aelle_core.study import RunDirectory, join


def joined(runs: Sequence[RunDirectory], name: str) -> RunDirectory:
    """Return the run directory of that name, beside the first run, that joins them."""
    together = RunDirectory(Path(str(runs[0])).parent / name)
    join(runs, together)
    return together
