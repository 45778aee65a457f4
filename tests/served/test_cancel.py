"""A run that is cancelled in the interface, or killed: its processes end, its rows stay, and the same form goes on."""

import time
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Cancelling, Crashed, State

from aelle_core.study import RunDirectory
from fault_injection.command import fragments, lives
from flows.processes.stale_runs import close_below
from flows.served.deployed_analyse import analyse
from flows.served.deployed_compact import compact
from flows.served.deployed_nightly import nightly
from flows.served.deployed_study import study
from flows.served.deployed_sweep import sweep
from tests.served.conftest import Served

SECONDS = 300  # generous: it takes a tenth of that where nothing else runs
pytestmark = pytest.mark.timeout(1800)
FORM: dict[str, Any] = {"results": "cancelled", "changes": {"cells": ["lem"], "units": [6], "networks": 6}}


def test_a_cancelled_run_ends_with_its_processes_and_the_same_form_goes_on(served: Served) -> None:
    run = RunDirectory(served.runs / "cancelled")
    form = FORM | {"changes": FORM["changes"] | {"epochs": 120}}
    cancelled = served.submit("sweep", **form)
    until(lambda: fragments(run.path) >= 3, 600)
    process = served.flow_process(cancelled)
    processes = [process, *process.children(recursive=True)]
    assert any(each.name() == "raylet" for each in processes)

    # What the interface's button sends.
    served.post(f"flow_runs/{cancelled}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})
    assert served.wait(cancelled, SECONDS)["type"] == "CANCELLED"
    until(lambda: not any(lives(each) for each in processes), SECONDS)
    assert run.store.read().num_rows < 6 * 121
    tasks = served.post("task_runs/filter", flow_runs={"id": {"any_": [cancelled]}})
    assert tasks
    assert not [task["name"] for task in tasks if task["state_type"] in ("RUNNING", "PENDING")]

    again = served.wait(served.submit("sweep", **form), 600)
    assert again["type"] == "COMPLETED", again
    table = run.store.read()
    rows = Counter(zip(table["network"].to_pylist(), table["epoch"].to_pylist(), strict=True))
    assert len(rows) == 6 * 121
    assert set(rows.values()) == {1}


def test_a_killed_run_is_crashed_with_what_it_left_under_way(served: Served) -> None:
    """By `aelle serve`, which sees the end of its process, and not when no heartbeat has come for five minutes."""
    run = RunDirectory(served.runs / "killed")
    killed = served.submit("sweep", **FORM | {"results": "killed", "changes": FORM["changes"] | {"epochs": 1000}})
    until(lambda: fragments(run.path) >= 3, 600)

    def tasks() -> dict[str, str]:
        found = served.post("task_runs/filter", flow_runs={"id": {"any_": [killed]}})
        return {each["name"]: each["state_type"] for each in found}

    until(lambda: tasks() == {"digits lem 6": "RUNNING"}, SECONDS)
    served.flow_process(killed).kill()
    assert served.wait(killed)["type"] == "CRASHED"
    until(lambda: tasks() == {"digits lem 6": "CRASHED"}, SECONDS)


@pytest.mark.parametrize(("state", "ended"), [(Cancelling(), "Cancelled"), (Crashed(), "Crashed")])
def test_what_a_killed_process_left_under_way_is_closed_with_its_run(
    served: Served, state: "State[Any]", ended: str
) -> None:
    def started(**what: Any) -> str:
        return str(served.post("flow_runs/", flow_id=flow, state={"type": "RUNNING"}, **what)["id"])

    flow = served.post("flows/", name="under way")["id"]
    above, other = started(), started()
    task = served.post("task_runs/", flow_run_id=above, task_key="below", dynamic_key="0", state={"type": "RUNNING"})
    below = started(parent_task_run_id=task["id"])
    known = {PREFECT_API_URL: f"{served.url}/api", PREFECT_API_AUTH_STRING: served.secret}
    with temporary_settings(known), get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(above))
        close_below(study, run, state)
        assert client.read_flow_run(UUID(below)).state_name == ended
        assert client.read_task_run(UUID(task["id"])).state_name == ended
        assert [client.read_flow_run(UUID(each)).state_name for each in (above, other)] == ["Running", "Running"]
        for each in (above, other):
            client.set_flow_run_state(UUID(each), Cancelled(), force=True)
    for each in (analyse, compact, nightly, study, sweep):
        assert close_below in each.on_cancellation_hooks
        assert close_below in each.on_crashed_hooks


def until(condition: Any, seconds: float) -> None:
    """Wait until the condition holds, so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)
