"""An analysis that is killed on its way: the same command makes all of its tables, and leaves nothing half written."""

import json
import random
import time
from pathlib import Path

import pyarrow.parquet as pq
from safetensors.numpy import load_file

from fault_injection.command import Command, until_gone

_KILLED_AFTER_SECONDS = (3.0, 40.0)
_LIMIT_SECONDS = 600.0
_GONE_SECONDS = 30.0


def interrupt_analysis(run: Path, draw: random.Random, environment: dict[str, str], log: Path) -> str:
    """Kill an analysis of a finished run after some seconds, and run it again; return in words what was done.

    Raises RuntimeError when a process of it is left, when the second fails, and when what that one makes is not whole.
    """
    after = draw.uniform(*_KILLED_AFTER_SECONDS)

    def start() -> Command:
        return Command("analyse", str(run), "--splits", "2", environment=environment, log=log)

    command = start()
    try:
        deadline = time.monotonic() + after
        while time.monotonic() < deadline and command.process.poll() is None:
            time.sleep(0.05)
        command.kill_first()
        if left := until_gone(command, _GONE_SECONDS):
            raise RuntimeError(f"left of a killed analysis after {_GONE_SECONDS:g} s: {'; '.join(left)}")
        command = start()
        if code := command.wait(_LIMIT_SECONDS):
            raise RuntimeError(f"exit code {code} of the analysis after a killed one: {command.output.strip()[-300:]}")
    finally:
        command.kill()
    _check(run)
    return f"analysis after {after:.0f} s"


def _check(run: Path) -> None:
    """Raise RuntimeError, OSError or ValueError where a table, the model or the report is missing or not whole."""
    if not (run / "report.html").read_text().rstrip().endswith("</html>"):
        raise RuntimeError("the analysis has made no whole report")
    made = [path for path in (run / "analysis").iterdir() if not path.name.startswith("_")]
    if not made:
        raise RuntimeError("the analysis has made no table")
    for path in made:
        if path.suffix == ".parquet" and pq.read_table(path).num_rows == 0:
            raise RuntimeError(f"the analysis has made an empty table: {path.name}")
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".safetensors":
            load_file(path)
