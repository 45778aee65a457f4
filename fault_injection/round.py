"""A round with the command: a small sweep, faults at drawn moments, and what came of it."""

import random
import re
import time
from pathlib import Path

import httpx
import pyarrow as pa

from aelle_core.store.dataset import StoreError
from aelle_core.store.statement import REMEDY
from aelle_core.study import RunDirectory
from fault_injection.analysis import interrupt_analysis
from fault_injection.cluster import Nodes
from fault_injection.command import Command, fragments, until_gone
from fault_injection.disk import mounted
from fault_injection.faults import FAULTS, LOCAL_FAULTS
from fault_injection.plan import ARGUMENTS, ERRORS, Plan, Verdict, in_words
from fault_injection.prefect_server import OutsideServer
from fault_injection.rows import differences
from fault_injection.scene import Scene

_POLL_SECONDS = 0.05


def play(
    verdict: Verdict,
    plan: Plan,
    draw: random.Random,
    expected: pa.Table,
    nodes: Nodes,
    server: OutsideServer,
    directory: Path,
    limit: float,
) -> None:
    """Play a plan in `directory`, which may take `limit` seconds before its analysis; what happened goes into
    `verdict`."""
    with mounted(directory / "disk") as disk:
        run = directory / "disk" / "run"
        # A server that is killed has this long to be back, on slow machines too.
        environment = server.environment | {"AELLE_OUTAGE_SECONDS": "240"}

        def start() -> Command:
            cluster = [] if plan.local else ["--address", nodes.address]
            return Command(
                "sweep", *ARGUMENTS, *cluster, "-o", str(run), environment=environment, log=directory / "log"
            )

        scene = Scene(plan.local, nodes, server, start(), start, draw, run, disk)
        deadline = time.monotonic() + limit
        try:
            _disturb(scene, plan, verdict, deadline)
            _finish(scene, verdict, expected, deadline)
            if plan.analysed and not verdict.problems:
                verdict.faults.append(interrupt_analysis(run, draw, environment, directory / "analysis-log"))
        except ERRORS as error:
            verdict.problems.append(in_words(error))
        finally:
            scene.command.kill()
            nodes.complete()


def _disturb(scene: Scene, plan: Plan, verdict: Verdict, deadline: float) -> None:
    """Do what is planned, each after its number of fragments."""
    faults = LOCAL_FAULTS if scene.local else FAULTS
    for moment, kind in plan.faults:
        while fragments(scene.run) < moment and not scene.ended:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no more than {fragments(scene.run)} of {moment} fragments in time")
            time.sleep(_POLL_SECONDS)
        stored = fragments(scene.run)
        if done := faults[kind](scene):
            verdict.faults.append(f"{done} at {stored}")


def _finish(scene: Scene, verdict: Verdict, expected: pa.Table, deadline: float) -> None:
    """Wait for the study's end, follow the advice where a stored file was altered, and compare every row."""
    run = RunDirectory(scene.run)
    while True:
        code = scene.command.wait(max(1.0, deadline - time.monotonic()))
        try:
            table = run.store.read()
        except StoreError as error:
            _remove_as_advised(scene, str(error))
        else:
            break
        scene.start_again()
    if code:
        verdict.problems.append(f"exit code {code}: {scene.command.output.strip().splitlines()[-1]}")
    verdict.problems += _left_behind(scene)
    verdict.problems += [f"{pack.pack} is quarantined: {pack.cause}" for pack in run.quarantine.packs()]
    verdict.rows = table.num_rows
    verdict.problems += differences(table, expected)


def _remove_as_advised(scene: Scene, message: str) -> None:
    """Remove the file that a message names and says to remove. Raises RuntimeError where it names none that a fault has
    altered."""
    named = [path for path in scene.altered if re.search(rf"{re.escape(str(path))}\b", message) and path.exists()]
    if REMEDY not in message or not named:
        raise RuntimeError(f"a store is refused that no fault has altered so: {message}")
    for path in named:
        path.unlink()


def _left_behind(scene: Scene) -> list[str]:
    problems = [f"process left: {process}" for process in until_gone(scene.command, 30)]
    problems += [f"worker still busy: {worker.name()}" for worker in scene.nodes.busy()]
    condition = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    running = httpx.post(f"{scene.server.url}/flow_runs/filter", json=condition, timeout=60).raise_for_status().json()
    return problems + [f"run {flow['name']} is still {flow['state_type']}" for flow in running]
