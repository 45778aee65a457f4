"""A process that is killed leaves nothing behind: no process, no run that goes on for ever, no lost or doubled row."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest

from aelle_core.study import RunDirectory, get_preset
from fault_injection.command import Command, fragments, until_gone
from fault_injection.rows import differences, undisturbed
from flows.processes.stale_runs import has_gone, this_process
from tests.faults.test_signals import flow_run_states

pytestmark = pytest.mark.timeout(1500)
SWEEP = ["digits", "--cells", "lem", "--units", "6", "--networks", "6", "--epochs", "60", "--way", "packed"]


def test_a_killed_flow_leaves_no_process_and_goes_on_at_the_next_start(tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    environment = {"PREFECT_HOME": str(home), "PREFECT_API_URL": ""}
    arguments = ["sweep", *SWEEP, "-o", str(run)]
    first = Command(*arguments, environment=environment, log=tmp_path / "first")
    try:
        first.until(lambda: fragments(run) >= 3, 600, "training")
        titles = " ".join(process.name() for process in first.processes())
        assert "raylet" in titles
        assert titles.count("ray::") >= 3  # a worker, and Ray's two agents
        first.kill_first()
        assert until_gone(first, 30) == []
    finally:
        first.kill()
    assert flow_run_states(home) == {("AeLLE sweep", "RUNNING")}
    before = fragments(run)
    assert before < 61

    second = Command(*arguments, environment=environment, log=tmp_path / "second")
    try:
        assert second.wait(600) == 0, second.output
        assert until_gone(second, 30) == []
    finally:
        second.kill()
    assert flow_run_states(home) == {("AeLLE sweep", "CRASHED"), ("AeLLE sweep", "COMPLETED")}
    study = get_preset("digits").replace(cells=["lem"], units=[6], networks=6, epochs=60)
    assert differences(RunDirectory(run).store.read(), undisturbed(study, tmp_path / "alone")) == []


def test_a_study_killed_while_its_tables_are_made_leaves_no_process(tmp_path: Path) -> None:
    """joblib's processes, which make them, would wait for more work for five minutes."""
    if joblib.cpu_count() == 1:
        pytest.skip("on one core joblib starts no processes")
    environment = {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_API_URL": ""}
    small = ["digits", "--cells", "rnn", "--units", "4", "--networks", "24", "--epochs", "1", "--splits", "2"]
    run = RunDirectory(tmp_path / "run")
    command = Command("study", *small, "-o", str(run), environment=environment, log=tmp_path / "log")
    try:
        command.until((run.analysis / "analysis.json").exists, 900, "analysed")
        command.until(lambda: bool(loky(command)), 480, "making tables")
        command.kill_first()
        assert until_gone(command, 30) == []
    finally:
        command.kill()
    assert not (run.analysis / "tables.json").exists()
    assert run.store.read().num_rows == 24 * 2


def loky(command: Command) -> list[psutil.Process]:
    """joblib's processes of a command."""
    return [process for process in command.processes() if "popen_loky_posix" in " ".join(cmdline(process))]


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_process_is_known_to_have_gone_only_where_that_can_be_known() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        here = this_process()
        labels = here | {"aelle.process": other.pid, "aelle.started": psutil.Process(other.pid).create_time()}
        assert not has_gone(labels)
        assert not has_gone(here)
        other.communicate(b"\n")
    assert has_gone(labels)
    reused: dict[str, Any] = here | {"aelle.started": here["aelle.started"] - 3600}
    assert has_gone(reused)
    assert not has_gone(labels | {"aelle.host": "elsewhere"})
    assert not has_gone(labels | {"aelle.namespace": "pid:[1]"})
    assert not has_gone(labels | {"aelle.machine": "other", "aelle.boot": "other"})
    assert not has_gone({})


def test_after_a_reboot_all_processes_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.processes import stale_runs

    read = {"/etc/machine-id": "machine", "/proc/sys/kernel/random/boot_id": "first"}
    monkeypatch.setattr(stale_runs, "_read", read.__getitem__)
    labels = this_process()
    read["/proc/sys/kernel/random/boot_id"] = "second"
    assert has_gone(labels)
    read["/etc/machine-id"] = ""
    assert not has_gone(labels | {"aelle.machine": ""})
