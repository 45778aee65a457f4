"""deployments/*.yaml: registered for work pools by Prefect's own command, and a run that a process worker picks up."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from aelle_core.study import RunDirectory
from fault_injection.api import SECONDS, ask

pytestmark = pytest.mark.timeout(1800)
NAMES = {"study", "sweep", "analyse", "nightly", "compact", "screen", "own-data", "forecast"}


@pytest.fixture(scope="module")
def api(prefect_server: str) -> httpx.Client:
    name, password = os.environ["PREFECT_API_AUTH_STRING"].split(":")
    return httpx.Client(base_url=f"{prefect_server}/", timeout=SECONDS, auth=(name, password))


def prefect(server: str, home: Path, *arguments: str, **environment: str) -> None:
    """Prefect's command, away from the source tree's working directory but with its modules."""
    repository = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=home,
        env=os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": str(repository), "HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def deployed(api: httpx.Client, pool: str) -> dict[str, dict[str, Any]]:
    answer = ask(api, "POST", "deployments/filter", json={"work_pools": {"name": {"any_": [pool]}}})
    return {each["name"]: each for each in answer.raise_for_status().json()}


def test_deployments_for_containers(prefect_server: str, api: httpx.Client, tmp_path: Path, repository: Path) -> None:
    prefect(prefect_server, tmp_path, "work-pool", "create", "aelle-docker", "--type", "docker")
    file = repository / "deployments" / "prefect-docker.yaml"
    prefect(prefect_server, tmp_path, "deploy", "--all", "--prefect-file", str(file))
    found = deployed(api, "aelle-docker")
    assert set(found) == NAMES
    for name, deployment in found.items():
        function = name.replace("-", "_")
        assert deployment["entrypoint"] == f"flows.served.deployed_{function}.{function}"
        assert deployment["job_variables"]["env"]["AELLE_RUNS"] == "/srv/aelle/runs"
        assert not deployment["pull_steps"]
        assert not deployment["schedules"]
    assert found["nightly"]["global_concurrency_limit"]["limit"] == 1
    assert found["nightly"]["concurrency_options"]["collision_strategy"] == "ENQUEUE"


def test_a_process_worker_picks_up_a_run(
    prefect_server: str, api: httpx.Client, tmp_path: Path, repository: Path
) -> None:
    ask(api, "POST", "work_pools/", json={"name": "aelle", "type": "process"}).raise_for_status()
    file = repository / "deployments" / "prefect.yaml"
    prefect(prefect_server, tmp_path, "deploy", "--all", "--prefect-file", str(file))
    found = deployed(api, "aelle")
    assert set(found) == NAMES
    form = {
        "results": "small",
        "changes": {"cells": ["rnn"], "units": [4], "networks": 2, "epochs": 1},
        "packs": {"way": "packed"},
    }
    answer = ask(api, "POST", f"deployments/{found['sweep']['id']}/create_flow_run", json={"parameters": form})
    run = answer.raise_for_status().json()["id"]
    arguments = ("worker", "start", "--pool", "aelle", "--run-once", "--install-policy", "never")
    prefect(prefect_server, tmp_path, *arguments, AELLE_RUNS=str(tmp_path / "runs"))
    state = ask(api, "GET", f"flow_runs/{run}").raise_for_status().json()["state"]
    assert state["type"] == "COMPLETED", state
    assert RunDirectory(tmp_path / "runs" / "small").store.read().num_rows == 4
