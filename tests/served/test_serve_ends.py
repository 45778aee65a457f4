"""`aelle serve` ends soon after SIGTERM, with what it runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fault_injection.api import SECONDS, ask, said_by_serve
from fault_injection.command import lives

pytestmark = pytest.mark.timeout(1800)
LIMIT = 40.0  # it takes some five seconds, and promises ten where nothing else runs


def until(condition: object, seconds: float, log: Path) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_serve_ends_soon_with_the_run_that_is_under_way(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AELLE_"))}
    environment = kept | {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    command = [sys.executable, "-m", "flows.command.main", "serve", "--port", "0", "--runs", str(tmp_path / "runs")]
    log = tmp_path / "log"
    with log.open("w") as output:
        serve = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        until(lambda: said_by_serve(log.read_text()) is not None or serve.poll() is not None, SECONDS * 2, log)
        assert serve.poll() is None, log.read_text()
        said = said_by_serve(log.read_text())
        assert said is not None
        with said.client() as api:
            sweep = {"deployments": {"name": {"any_": ["sweep"]}}}
            identifier = ask(api, "POST", "deployments/filter", json=sweep).raise_for_status().json()[0]["id"]
            changes = {"cells": ["lem"], "units": [6], "networks": 6, "epochs": 5000}
            form = {"parameters": {"results": "far", "changes": changes}}
            ask(api, "POST", f"deployments/{identifier}/create_flow_run", json=form).raise_for_status()
        until(lambda: any((tmp_path / "runs").glob("far/spectra/*/*/*/*.parquet")), 900, log)
        family = [psutil.Process(serve.pid), *psutil.Process(serve.pid).children(recursive=True)]
        assert any(each.name() == "raylet" for each in family)
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(LIMIT) == 0, log.read_text()
    finally:
        serve.kill()
        serve.wait()
    until(lambda: not [each for each in family if lives(each)], 30, log)
    assert "Traceback" not in log.read_text()
    assert not list((tmp_path / "prefect" / "aelle-serve").iterdir()), "the password goes with a port that nobody finds"
