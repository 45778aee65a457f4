"""Nights on a real server: one after another, one killed and started again, and drift that an automation catches."""

import dataclasses
import time
from collections import Counter
from typing import Any

import pytest

from aelle_core.analysis.nights.history import History
from aelle_core.study import RunDirectory
from aelle_core.study.nights import Nights
from tests.served.conftest import Served

pytestmark = pytest.mark.timeout(1800)
FIRST, SECOND = "2026-11-24", "2026-11-25"
FORM: dict[str, Any] = {
    "changes": {"cells": ["rnn"], "units": [4], "networks": 12, "epochs": 1},
    "details": {"pack_size": 4},
    "analysis": {"splits": 2},
    "packs": {"way": "packed"},
}
DRIFTING = "AeLLE PC1"


@dataclasses.dataclass
class Series:
    """Runs of the second night: one that was killed, and one that was submitted while that one ran."""

    killed: str
    again: str
    waited: bool
    automation: str


@pytest.fixture(scope="module")
def series(served: Served) -> Series:
    """Two nights. Of the first, the history then says that a classifier did far worse than it could have."""
    first = served.wait(served.submit("nightly", night=FIRST, **FORM))
    assert first["type"] == "COMPLETED", first
    history = History(RunDirectory(served.runs / "nightly"))
    forged = [
        dataclasses.replace(one, mean=-1.0, low=-1.1, high=-0.9) if one.classifier == DRIFTING else one
        for one in history.of(FIRST)
    ]
    history.add(FIRST, 12, forged)
    automation = served.post("automations/", **compacting_on_drift(served))["id"]
    killed = served.submit("nightly", night=SECOND, **FORM)
    await_fragment(served)
    again = served.submit("nightly", night=SECOND, **FORM)
    waited = await_waiting(served, again)
    served.flow_process(killed).kill()
    assert served.wait(again)["type"] == "COMPLETED", served.state(again)
    return Series(killed, again, waited, automation)


def compacting_on_drift(served: Served) -> dict[str, Any]:
    """An automation that merges the nights' files when a metric has drifted."""
    return {
        "name": "compact on drift",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "aelle.nightly.*"},
            "expect": ["aelle.drift"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": served.deployment("compact")["id"],
                "parameters": {"results": "nightly"},
            }
        ],
    }


def await_fragment(served: Served) -> None:
    deadline = time.monotonic() + 480
    night = served.runs / "nightly" / "nights" / SECOND / "spectra"
    while not list(night.glob("study=*/cell=*/epoch=*/*.parquet")):
        assert time.monotonic() < deadline, "the second night stores nothing"
        time.sleep(0.02)


def await_waiting(served: Served, run: str) -> bool:
    """Whether a run is made to wait for its slot within four minutes, rather than being started."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        state = served.state(run)
        if state["name"] == "AwaitingConcurrencySlot":
            return True
        assert state["type"] == "SCHEDULED", state
        time.sleep(0.2)
    return False


def test_two_nights_never_overlap(series: Series, served: Served) -> None:
    assert series.waited
    assert served.state(series.killed)["type"] == "CRASHED"
    ended = served.state(series.killed)["timestamp"]
    assert served.get(f"flow_runs/{series.again}")["start_time"] >= ended


def test_a_night_that_was_killed_goes_on(series: Series, served: Served) -> None:
    nights = Nights(RunDirectory(served.runs / "nightly"))
    assert nights.begun() == nights.finished() == [FIRST, SECOND]
    for night in (FIRST, SECOND):
        table = nights.run(night).store.read()
        rows = Counter(zip(table["network"].to_pylist(), table["epoch"].to_pylist(), strict=True))
        assert len(rows) == 12 * 2
        assert set(rows.values()) == {1}


def test_all_networks_are_analysed_together_and_the_history_is_kept(series: Series, served: Served) -> None:
    assert "2 nights analysed together" in served.state(series.again)["message"]
    table = History(RunDirectory(served.runs / "nightly")).table()
    assert Counter(zip(table["night"].to_pylist(), table["networks"].to_pylist(), strict=True)).keys() == {
        (FIRST, 12),
        (SECOND, 24),
    }
    report = (served.runs / "nightly" / "report.html").read_text()
    assert f"2 nights from {FIRST} to {SECOND}" in report
    (artifact,) = served.post("artifacts/latest/filter", artifacts={"key": {"any_": ["nightly-metrics"]}})
    assert "the night before" in artifact["data"]


def test_drift_is_a_failed_check_of_a_completed_night(series: Series, served: Served) -> None:
    found = task_states(served, series.again, f"f1 of {DRIFTING}", "log final loss of networks of the night")
    assert found[f"f1 of {DRIFTING}"]["type"] == "FAILED"
    assert "the night before -1.000 [-1.100, -0.900]" in found[f"f1 of {DRIFTING}"]["message"]
    assert f"drifted: f1 of {DRIFTING}" in served.state(series.again)["message"]


def task_states(served: Served, run: str, *names: str) -> dict[str, dict[str, Any]]:
    """The final states of a run's tasks by name, once the named ones are there: the server is told of them later."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        tasks = served.post("task_runs/filter", flow_runs={"id": {"any_": [run]}})
        found = {each["name"]: each["state"] for each in tasks if each["state_type"] in ("COMPLETED", "FAILED")}
        if set(names) <= set(found):
            return found
        time.sleep(0.5)
    raise AssertionError(f"no final state of {set(names) - set(found)} among {sorted(found)}")


def test_an_automation_catches_the_drift(series: Series, served: Served) -> None:
    deadline = time.monotonic() + 240
    started: list[dict[str, Any]] = []
    while not started and time.monotonic() < deadline:
        runs = served.post("flow_runs/filter", deployments={"name": {"any_": ["compact"]}})
        started = [each for each in runs if (each["created_by"] or {}).get("id") == series.automation]
        time.sleep(0.5)
    assert started, "the automation has not run"
    assert served.wait(started[0]["id"])["type"] == "COMPLETED"
    events = served.post("events/filter", filter={"event": {"name": ["aelle.drift"]}})["events"]
    assert f"aelle.nightly.f1-of-{DRIFTING.lower().replace(' ', '-')}" in {
        each["resource"]["prefect.resource.id"] for each in events
    }
