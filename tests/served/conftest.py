"""`aelle serve` as a process of its own, once for all tests that submit to it."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fault_injection.api import Said, ask, said_by_serve

_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Served:
    """A running `aelle serve`: its process, its server's address, where its results go, its API, its password, and the
    link that signs a browser in."""

    process: int
    url: str
    runs: Path
    api: httpx.Client
    environment: dict[str, str]
    secret: str
    sign_in: str

    def deployment(self, name: str) -> dict[str, Any]:
        """A registered deployment."""
        return self.post("deployments/filter", deployments={"name": {"any_": [name]}})[0]

    def submit(self, name: str, **parameters: object) -> str:
        """Start a run of a deployment; its id."""
        identifier = self.deployment(name)["id"]
        key = uuid.uuid4().hex
        path = f"deployments/{identifier}/create_flow_run"
        return self.post(path, parameters=parameters, idempotency_key=key)["id"]

    def wait(self, run: str, seconds: float = 600) -> dict[str, Any]:
        """The state that a flow run ends in."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.state(run)
            if state["type"] in _FINAL:
                return state
            time.sleep(0.5)
        raise AssertionError(f"the run is {state['type']} after {seconds} s: {state['message']}")

    def state(self, run: str) -> dict[str, Any]:
        """The state of a flow run."""
        return self.get(f"flow_runs/{run}")["state"]

    def flow_process(self, run: str) -> psutil.Process:
        """The process of a flow run that is under way."""
        below = psutil.Process(self.process).children()
        (process,) = (each for each in below if each.environ().get("PREFECT__FLOW_RUN_ID") == run)
        return process

    def get(self, path: str) -> Any:
        """What the API holds at `path`."""
        return ask(self.api, "GET", path).raise_for_status().json()

    def post(self, path: str, **content: object) -> Any:
        """What the API answers."""
        return ask(self.api, "POST", path, json=content).raise_for_status().json()


def own_table() -> str:
    """A table of 60 sequences of 12 steps: a noisy number at each, and a class that its mean tells."""
    drawn = random.Random(0)
    rows = ["patient,day,rate,label"]
    for patient in range(60):
        label = "high" if patient % 2 else "low"
        rows += [f"{patient},{day},{drawn.gauss(1.0 if patient % 2 else -1.0, 0.5):.3f},{label}" for day in range(12)]
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`aelle serve` with its own server, on a free port."""
    home = tmp_path_factory.mktemp("served")
    data = home / "data"
    data.mkdir()
    (data / "pulses.csv").write_text(own_table())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AELLE_"))}
    environment = kept | {
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OMP_NUM_THREADS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    }
    arguments = [
        "serve",
        "--port",
        "0",
        "--runs",
        str(home / "runs"),
        "--data",
        str(data),
        "--nightly",
        "0 2 31 12 *",
        "--timezone",
        "Europe/Berlin",
    ]
    log = home / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.command.main", *arguments], stdout=output, stderr=output, env=environment
        )
    try:
        said = _serving(process, log)
        with said.client() as api:
            link = said.link.read_text().strip()
            yield Served(process.pid, said.url, home / "runs", api, environment, said.secret, link)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _serving(process: "subprocess.Popen[bytes]", log: Path) -> Said:
    """What it has printed, once it serves."""
    deadline = time.monotonic() + 480
    while time.monotonic() < deadline and process.poll() is None:
        if (said := said_by_serve(log.read_text())) is not None:
            return said
        time.sleep(0.1)
    raise AssertionError(f"aelle serve does not serve: {log.read_text()}")
