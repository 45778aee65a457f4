"""The parts of a Ray cluster that a command has started for itself."""

from contextlib import suppress

import psutil

PARTS = ("dashboard agent", "GCS", "raylet", "runtime environment agent")
_WORDS = {
    "dashboard agent": ("DashboardAgent", "dashboard/agent.py"),
    "runtime environment agent": ("RuntimeEnvAgent", "runtime_env/agent/main.py"),
}
_PROGRAMS = {"raylet": "raylet", "GCS": "gcs_server"}


def part_of(command: psutil.Process, part: str) -> psutil.Process:
    """Return the process of that part below a command. Raises LookupError where there is none."""
    for process in command.children(recursive=True):
        with suppress(psutil.Error):
            name, line = process.name(), " ".join(process.cmdline())
            if name == _PROGRAMS.get(part):
                return process
            if name not in _PROGRAMS.values() and any(word in line for word in _WORDS.get(part, ())):
                return process
    raise LookupError(f"the command has no {part}")
