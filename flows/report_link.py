"""Where a browser finds the report of a run that `aelle serve` started."""

import os

from aelle_core.files.places import place
from aelle_core.study import RunDirectory

REPORTS = "/reports"
SHOWN = "AELLE_SHOWS_REPORTS"
"""Set for runs of a server that shows their reports."""


def report_link(run: RunDirectory) -> str | None:
    """Return the address of a run's report on the server that started it; None where that shows none."""
    root = os.environ.get("AELLE_RUNS")
    if not os.environ.get(SHOWN) or not root:
        return None
    name = str(run).rstrip("/").rpartition("/")[2]
    return report_address(name) if str(place(root) / name) == str(run) else None


def report_address(name: str) -> str:
    """Return where the server shows the report of the results called `name`."""
    return f"{REPORTS}/{name}/report.html"
