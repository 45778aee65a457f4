"""The real flows on a real Prefect and a real Ray, once, and with a worker killed in the middle."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from aelle_core.analysis.trained import Trained, joint_examples
from aelle_core.evaluation import NetworkExamples
from aelle_core.foundation.errors import UserError
from aelle_core.report.figures import figures
from aelle_core.study import RunDirectory, Study, run_study
from tests.faults.sweeps import assert_same_numbers

pytestmark = pytest.mark.usefixtures("orchestration")

SMALL = Study(name="small", cells=("rnn", "lem"), units=(6,), networks=12, pack_size=6, epochs=2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The same study in one process, without Prefect and Ray."""
    run = RunDirectory(tmp_path_factory.mktemp("alone") / "run")
    run_study(SMALL, run, way="packed")
    return run


def test_study_from_sweep_to_report(tmp_path: Path, undisturbed: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.parameters import AnalysisParameters, StudyParameters
    from flows.study import study

    directory = tmp_path / "run"
    read: list[Sequence[Trained]] = []

    def watched(trained: Sequence[Trained]) -> tuple[dict[int, NetworkExamples], dict[str, int]]:
        read.append(trained)
        return joint_examples(trained)

    monkeypatch.setattr("aelle_core.analysis.prepare.joint_examples", watched)
    state = study(StudyParameters(**SMALL.to_dict()), str(directory), AnalysisParameters(splits=2), return_state=True)
    report = Path(state.result())
    run = RunDirectory(directory)
    assert len(read) == 1  # for metrics, report and artifacts together
    assert run.store.read()["spectrum_hidden"].null_count == 0
    assert_same_numbers(run.store.read(), undisturbed.store.read())
    text = report.read_text()
    of_free_runs = {"0_free_runs", "1_spectra_of_good_and_bad", "5_loss_against_free_runs"}
    drawn = set(figures) - {"3_plane_by_size"} - of_free_runs  # one size, and a task that is no forecast
    assert {path.name for path in run.figures.iterdir()} == {
        f"{name}.{kind}" for name in drawn for kind in ("png", "svg")
    }
    assert text.count("data:image/png;base64,") == len(drawn)
    assert "Table 1: the pre-trained AeLLE and the loss" in text
    assert text.count("<script") == 1  # the page's own
    assert "http" not in text.replace("http-equiv", "")
    for name in ("AeLLE PC1", "cell and hyperparameters", SMALL.identity):
        assert name in text
    flows, names, artifacts = seen_by_the_server(state.state_details.flow_run_id, {"digits rnn 6", "digits lem 6"})
    assert flows == {"AeLLE study"}  # all of it belongs to the run that was started
    assert {"digits rnn 6", "digits lem 6"} <= names
    assert {"training", "analysing", "classifier-metrics", "report", "digits-rnn-6"} <= artifacts

    # The same again: nothing is computed twice, no row is doubled.
    before = {path: path.stat().st_mtime_ns for path in run.store.files()}
    from flows.sweep import sweep

    sweep(StudyParameters(**SMALL.to_dict()), str(directory))
    assert {path: path.stat().st_mtime_ns for path in run.store.files()} == before


def seen_by_the_server(run: UUID, awaited: set[str]) -> tuple[set[str], set[str], set[str]]:
    """The flows, tasks and artifacts of a flow run and of those below it, by name. The server is told of tasks later:
    waits for the awaited."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterParentFlowRunId,
    )

    with get_client(sync_client=True) as client:
        below = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
        )
        runs = [run, *(flow_run.id for flow_run in below)]
        condition = FlowRunFilter(id=FlowRunFilterId(any_=runs))
        deadline = time.monotonic() + 120
        names: set[str] = set()
        while not awaited <= names and time.monotonic() < deadline:
            names = {task_run.name for task_run in client.read_task_runs(flow_run_filter=condition)}
            time.sleep(0.2)
        flows = {flow.name for flow in client.read_flows(flow_run_filter=condition)}
        made = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs)))
        return flows, names, {str(artifact.key) for artifact in made}


def workers_of(pack: str) -> list[int]:
    """Processes of this test's cluster that run the Ray task of that name."""
    processes = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(f"ray::{pack}"):
                processes.append(process.pid)
    return processes


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    from flows.parameters import Resources, StudyParameters
    from flows.sweep import sweep

    longer = SMALL.replace(name="killed", cells=["lem"], networks=6, epochs=30)
    directory = tmp_path / "run"
    killed: list[int] = []

    def kill_after_the_third_epoch() -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not killed:
            if len(list(directory.glob("spectra/**/lem-6-pack0000.parquet"))) >= 3:
                for process in workers_of("lem-6-pack0000"):
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_after_the_third_epoch)
    killer.start()
    sweep(StudyParameters(**longer.to_dict()), str(directory), Resources(way="packed"))
    killer.join()
    assert killed, "the pack was done before it could be killed"
    alone = RunDirectory(tmp_path / "alone")
    run_study(longer, alone, way="packed")
    table = RunDirectory(directory).store.read()
    assert table.num_rows == 6 * 31
    assert table["spectrum_hidden"].null_count == 0
    assert_same_numbers(table, alone.store.read())


def test_requests_that_no_node_can_meet_are_refused_at_once(tmp_path: Path) -> None:
    from flows.parameters import Resources, StudyParameters
    from flows.sweep import sweep

    with pytest.raises(
        UserError, match=r"digits rnn 6, digits lem 6: .*needs 1 CPU and 4 GPU on one.*has 1 node with 2 CPU and 0 GPU"
    ):
        sweep(StudyParameters(**SMALL.to_dict()), str(tmp_path / "run"), Resources(gpus_per_pack=4))
