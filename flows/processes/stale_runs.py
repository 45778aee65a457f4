"""Runs whose process has gone are closed: at the next start by those who can look, and by missing heartbeats."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from flows.processes.served_by import end_with_serve

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    Ended = Callable[..., State[Any]]

_CLOCK_SECONDS = 10  # the time a process has started at moves when the clock is set
_AT_ONCE = 100
_AUTOMATION = "aelle: runs without heartbeats have crashed"


def record_process(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """For a flow's `on_running`: note in the run's labels which process it runs in."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run.id, this_process())


def close_below(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """For a flow's `on_cancellation` and `on_crashed`: the subflows and tasks that its process, killed before it could
    end them, left under way are set to Cancelled or Crashed as well."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled, Crashed

    ended, message = (
        (Crashed, "the run above crashed") if state.is_crashed() else (Cancelled, "the run above was cancelled")
    )
    with get_client(sync_client=True) as client:
        _close_below(client, flow_run, message, ended)


WATCHED: Mapping[str, Any] = {
    "on_running": [record_process, end_with_serve],
    "on_cancellation": [close_below],
    "on_crashed": [close_below],
}
"""What Prefect calls at a served flow's changes of state, as arguments of `flow`."""


def this_process() -> dict[str, Any]:
    """Labels that tell this process from all others, of other hosts, containers and boots too."""
    return {
        "aelle.host": socket.gethostname(),
        "aelle.machine": _read("/etc/machine-id"),
        "aelle.boot": _read("/proc/sys/kernel/random/boot_id"),
        "aelle.namespace": _process_namespace(),
        "aelle.process": os.getpid(),
        "aelle.started": psutil.Process().create_time(),
    }


def has_gone(labels: dict[str, Any]) -> bool:
    """Whether the process with these labels is known to have ended; False where that cannot be known from here."""
    here = this_process()
    if any(name not in labels for name in here):
        return False
    if labels["aelle.boot"] != here["aelle.boot"]:
        return bool(here["aelle.machine"]) and labels["aelle.machine"] == here["aelle.machine"]
    if any(labels[name] != here[name] for name in ("aelle.host", "aelle.machine", "aelle.namespace")):
        return False
    try:
        started = psutil.Process(int(labels["aelle.process"])).create_time()
    except psutil.Error:
        return True
    return abs(started - float(labels["aelle.started"])) > _CLOCK_SECONDS


def close_stale_runs() -> list[str]:
    """Set the runs of processes that have gone to Crashed (to Cancelled, those that were being cancelled), with the
    runs of their subflows and tasks. Returns the names of the flow runs."""
    from prefect.client.orchestration import get_client

    closed = []
    with get_client(sync_client=True) as client:
        for run in list(_under_way(client)):
            if has_gone(run.labels):
                message = f"process {run.labels['aelle.process']} on {run.labels['aelle.host']} has gone"
                _close(client, run, message)
                closed.append(run.name)
    return closed


def _under_way(client: "SyncPrefectClient", parent: "FlowRun | None" = None) -> Iterator["FlowRun"]:
    """Flow runs that have no final state: all that were started, or all that are subflows of `parent`."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterParentFlowRunId,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    kinds = [StateType.RUNNING, StateType.CANCELLING]
    condition = FlowRunFilter()
    if parent is not None:
        kinds += [StateType.PENDING, StateType.SCHEDULED, StateType.PAUSED]
        condition.parent_flow_run_id = FlowRunFilterParentFlowRunId(any_=[parent.id])
    condition.state = FlowRunFilterState(type=FlowRunFilterStateType(any_=kinds))
    offset = 0
    while runs := client.read_flow_runs(flow_run_filter=condition, limit=_AT_ONCE, offset=offset):
        yield from runs
        offset += len(runs)


def _close(client: "SyncPrefectClient", run: "FlowRun", message: str, ended: "Ended | None" = None) -> None:
    """Close what belongs to a run, then the run: when this is interrupted, the run is found again. As `ended`, or
    Cancelled where that was under way and else Crashed."""
    from prefect.states import Cancelled, Crashed

    _close_below(client, run, message, ended)
    cancelling = run.state is not None and run.state.is_cancelling()
    client.set_flow_run_state(run.id, (ended or (Cancelled if cancelling else Crashed))(message=message), force=True)


def _close_below(client: "SyncPrefectClient", run: "FlowRun", message: str, ended: "Ended | None") -> None:
    from prefect.states import Crashed

    for below in list(_under_way(client, run)):
        _close(client, below, message, ended)
    for task_run in _unfinished_tasks(client, run):
        client.set_task_run_state(task_run, (ended or Crashed)(message=message), force=True)


def _unfinished_tasks(client: "SyncPrefectClient", run: "FlowRun") -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    unfinished, offset = [], 0
    condition = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    while tasks := client.read_task_runs(flow_run_filter=condition, limit=_AT_ONCE, offset=offset):
        unfinished += [task.id for task in tasks if task.state is None or not task.state.is_final()]
        offset += len(tasks)
    return unfinished


def crash_without_heartbeats(within: timedelta = timedelta(minutes=5)) -> None:
    """Have the Prefect server set every run to Crashed that has sent heartbeats and sends none for so long: the way
    for runs of hosts that are gone themselves. Does nothing where that was asked for before."""
    from prefect.automations import Automation
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    named = {"automations": {"name": {"any_": [_AUTOMATION]}}}
    with get_client(sync_client=True) as client:
        if client.request("POST", "/automations/filter", json=named).json():
            return
    ends = [f"prefect.flow-run.{name}" for name in ("heartbeat", "Completed", "Failed", "Cancelled", "Crashed")]
    Automation(
        name=_AUTOMATION,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect=set(ends),
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat for {within}")],
    ).create()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _process_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
