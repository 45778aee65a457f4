"""`aelle serve`: what it refuses, what it registers, and runs that are submitted to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aelle_core.study import RunDirectory
from fault_injection.api import ask
from tests.helpers.command import aelle
from tests.served.conftest import Served

pytestmark = pytest.mark.timeout(1800)
SMALL = {"cells": ["rnn"], "units": [4], "networks": 3, "epochs": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--host", "0.0.0.0"],
            "lets other machines in: expected a loopback address, or PREFECT_SERVER_API_AUTH_STRING",
        ),
        (["--host", "somewhere"], "'somewhere': expected an address of this machine"),
        (["--data", "/nonexistent"], "'/nonexistent' is not there"),
        (["--runs", "/dev/null"], "'/dev/null' is a file"),
        (["--timezone", "Berlin"], "timezone='Berlin': expected a name such as UTC or Europe/Berlin"),
    ],
)
def test_mistakes_are_refused_before_anything_starts(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    done = aelle("serve", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_nights_at_no_time_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """In a process of its own: Prefect reads the expression, and is told its settings when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", "flows.command.main", "serve", "--nightly", "every night"],
        capture_output=True, text=True, timeout=240, check=False, env=environment | {"PREFECT_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("aelle: --nightly 'every night': expected a cron expression such as '0 2 * * *'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_deployments_are_registered_with_their_forms(served: Served) -> None:
    found = {each["name"]: each for each in served.post("deployments/filter")}
    assert {"study", "sweep", "analyse", "nightly", "compact", "screen", "own-data", "forecast"} == set(found)
    for name, deployment in found.items():
        function = name.replace("-", "_")
        assert deployment["entrypoint"] == f"flows.served.deployed_{function}.{function}"
        assert deployment["enforce_parameter_schema"]
    (schedule,) = found["nightly"]["schedules"]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 2 31 12 *", "Europe/Berlin")
    assert found["nightly"]["global_concurrency_limit"]["limit"] == 1
    assert not found["sweep"]["schedules"]
    assert "digits" in found["study"]["parameter_openapi_schema"]["properties"]["preset"]["enum"]


def test_a_submitted_sweep_runs_into_the_named_results(served: Served) -> None:
    state = served.wait(served.submit("sweep", results="small", changes=SMALL, packs={"way": "packed"}))
    assert state["type"] == "COMPLETED", state
    run = RunDirectory(served.runs / "small")
    assert run.store.read().num_rows == 6
    progress = served.post("artifacts/filter", artifacts={"key": {"any_": ["digits-rnn-4"]}})
    assert progress[0]["type"] == "progress"
    state = served.wait(served.submit("compact", results="small"))
    assert state["type"] == "COMPLETED", state
    assert run.store.read().num_rows == 6


MISTAKES = [
    ("sweep", {"results": "../elsewhere", "changes": SMALL}, "results='../elsewhere': expected up to 64 letters"),
    ("study", {"changes": {"data": "/etc"}}, "data='/etc': expected the name of a file or directory below"),
    ("sweep", {"results": "large", "changes": SMALL, "packs": {"cpus_per_pack": 1000}}, "a pack needs 1000 CPU"),
    ("analyse", {"results": "nothing"}, "no study in"),
]


def test_mistakes_fail_their_runs_in_one_sentence(served: Served) -> None:
    runs = [served.submit(deployment, **parameters) for deployment, parameters, _ in MISTAKES]
    for run, (_, _, message) in zip(runs, MISTAKES, strict=True):
        state = served.wait(run)
        assert state["type"] == "FAILED"
        assert message in state["message"]
        assert len(state["message"].splitlines()) == 1


def test_what_is_out_of_bounds_is_refused_when_it_is_submitted(served: Served) -> None:
    identifier = served.deployment("sweep")["id"]
    path, wrong = f"deployments/{identifier}/create_flow_run", {"changes": {"networks": 0}}
    answer = ask(served.api, "POST", path, json={"parameters": wrong})
    assert answer.status_code == 409
    assert "0 is less than the minimum of 1" in answer.text
