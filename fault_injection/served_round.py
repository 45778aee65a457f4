"""A round with a form: `aelle serve` gets SIGKILL or SIGTERM in the middle of a sweep, and the same form goes on."""

import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from aelle_core.study import RunDirectory
from fault_injection.api import SECONDS, ask, said_by_serve
from fault_injection.command import Command, fragments, until_gone
from fault_injection.plan import ERRORS, FORM, ServedPlan, Verdict, in_words
from fault_injection.rows import differences

_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_END_SECONDS = 60.0  # it promises ten on a machine that is not overloaded
_POLL_SECONDS = 0.2


class _Serve:
    """`aelle serve` on a free port, and its API."""

    def __init__(self, directory: Path, log: Path) -> None:
        environment = {
            "PREFECT_HOME": str(directory / "home"),
            "PREFECT_API_URL": "",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        }
        arguments = ["serve", "--port", "0", "--runs", str(directory / "runs")]
        self.command = Command(*arguments, environment=environment, log=log)
        try:
            self.command.until(lambda: said_by_serve(self.command.output) is not None, 2 * SECONDS, "serving")
        except BaseException:
            self.command.kill()
            raise
        said = said_by_serve(self.command.output)
        assert said is not None
        self.api = said.client()

    def submit(self) -> str:
        """Start a run of the form `sweep`; its id."""
        sweep = self._post("deployments/filter", {"deployments": {"name": {"any_": ["sweep"]}}})[0]
        form = {"parameters": {"results": "run", **FORM}}
        return str(self._post(f"deployments/{sweep['id']}/create_flow_run", form)["id"])

    def state(self, run: str) -> str:
        """The type of a run's state."""
        return str(self._asked("GET", f"flow_runs/{run}")["state"]["type"])

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        return self._asked("POST", path, json=content)

    def _asked(self, method: str, path: str, **content: Any) -> Any:
        return ask(self.api, method, path, **content).raise_for_status().json()


def play(verdict: Verdict, plan: ServedPlan, expected: pa.Table, directory: Path, limit: float) -> None:
    """Play a plan in `directory`; what happened goes into `verdict`."""
    deadline = time.monotonic() + limit
    run = directory / "runs" / "run"
    serve = None
    try:
        serve = _Serve(directory, directory / "first-log")
        first = serve.submit()
        serve.command.until(lambda: fragments(run) >= plan.moment, limit, f"{plan.moment} fragments")
        stored = fragments(run)
        _end(serve.command, plan.signal)
        verdict.faults.append(f"aelle serve by {plan.signal.name} at {stored}")
        serve = _Serve(directory, directory / "second-log")
        if (state := _awaited(serve, first, deadline)) not in ("CRASHED", "CANCELLED"):
            verdict.problems.append(f"the run of the ended server is {state}")
        if (state := _awaited(serve, serve.submit(), deadline)) != "COMPLETED":
            verdict.problems.append(f"the same form again is {state}")
        _end(serve.command, signal.SIGTERM)
        table = RunDirectory(run).store.read()
        verdict.rows = table.num_rows
        verdict.problems += differences(table, expected)
    except ERRORS as error:
        verdict.problems.append(in_words(error))
    finally:
        if serve is not None:
            serve.command.kill()


def _end(command: Command, how: signal.Signals) -> None:
    """End `aelle serve` and wait until nothing of it is left. Raises RuntimeError where something is, and where it ends
    by SIGTERM other than with exit code 0."""
    command.processes()  # seen now, they are known when they are orphans
    command.process.send_signal(how)
    code = command.wait(_END_SECONDS)
    if how == signal.SIGTERM and code != 0:
        raise RuntimeError(f"exit code {code} of aelle serve after SIGTERM: {command.output.strip()[-300:]}")
    if left := until_gone(command, _END_SECONDS):
        raise RuntimeError(f"left of aelle serve after {_END_SECONDS:g} s: {'; '.join(left)}")


def _awaited(serve: _Serve, run: str, deadline: float) -> str:
    """Wait for a run's end; the type of the state that it ends in, or has when the time is over."""
    while (state := serve.state(run)) not in _FINAL and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return state
