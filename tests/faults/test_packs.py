"""What happens to packs that fail, in real flows on a real Prefect and a real Ray."""

import itertools
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import torch

from aelle_core.study import Packs, RunDirectory, Study, cohorts, run_pack
from tests.faults.sweeps import alone, assert_same_numbers, sweep_state

STUDY = Study(name="faults", cells=("rnn", "lem"), units=(6,), networks=12, pack_size=6, epochs=3)
BROKEN = "rnn-6-pack0001"


def fail_in_workers(
    monkeypatch: pytest.MonkeyPatch, trace: Path, epoch: int, times: int, kill: bool = False, every: bool = False
) -> None:
    """Let the pack BROKEN (or `every` pack) fail so often after it stored that epoch. Every epoch that is reached
    leaves a line in `trace`."""

    def train(packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None) -> Any:
        torch.set_num_threads(1)

        def fail(pack: Any, now: int) -> None:
            if pack.name != BROKEN and not every:
                return
            with trace.open("a") as file:
                file.write(f"{now}\n")
            if now == epoch and trace.read_text().split().count(str(epoch)) <= times:
                if kill:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise RuntimeError("cosmic rays\nand more")

        run = RunDirectory(directory)
        return run_pack(packs.study, packs[number], run, device=device, way=way, on_epoch=fail)

    monkeypatch.setattr("flows.cohort.train_pack", train)


@pytest.mark.usefixtures("orchestration")
def test_a_pack_that_fails_twice_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    fail_in_workers(monkeypatch, trace, epoch=2, times=2)
    run = RunDirectory(tmp_path / "run")
    state = sweep_state(STUDY, run.path)
    assert state.is_completed()
    assert state.message == f"results: {run}"
    # Each later attempt begins at the checkpoint of epoch 2: epochs 0 and 1 are trained once.
    assert trace.read_text().split() == ["0", "1", "2", "2", "2", "3"]
    assert run.quarantine.packs() == []
    assert_same_numbers(run.store.read(), alone(STUDY))


@pytest.mark.usefixtures("orchestration")
def test_a_pack_that_always_fails_is_quarantined_and_tried_again_by_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client

    run = RunDirectory(tmp_path / "run")
    with monkeypatch.context() as patch:
        fail_in_workers(patch, tmp_path / "trace", epoch=1, times=99)
        state = sweep_state(STUDY, run.path, retries=2)
    missing = f"completed without 6 of 24 networks: pack {BROKEN} quarantined: RuntimeError: cosmic rays"
    sentence = f"{missing}; results: {run}"
    assert state.is_completed()
    assert state.message == sentence
    assert state.result() == str(run)
    with get_client(sync_client=True) as client:
        held = client.read_flow_run(state.state_details.flow_run_id).state
    assert (held.type.value, held.message) == ("COMPLETED", sentence)
    assert [path.name for path in run.quarantine.path.iterdir()] == [f"{BROKEN}.json"]
    record = json.loads((run.quarantine.path / f"{BROKEN}.json").read_text())
    assert record["attempts"] == 3
    assert record["cause"] == "RuntimeError: cosmic rays"
    assert record["networks"] == [f"rnn-6-{index:05d}" for index in range(6, 12)]
    there = run.store.read(epoch=3)
    assert there.num_rows == 18
    whole = alone(STUDY).filter(pa.compute.equal(alone(STUDY)["epoch"], 3))
    assert_same_numbers(there, whole.filter(pa.compute.is_in(whole["network"], there["network"])))

    before = {path: path.stat().st_mtime_ns for path in run.store.files()}
    assert sweep_state(STUDY, run.path).message == f"results: {run}"
    assert run.quarantine.packs() == []
    assert_same_numbers(run.store.read(), alone(STUDY))
    assert before.items() <= {path: path.stat().st_mtime_ns for path in run.store.files()}.items()


@pytest.mark.usefixtures("orchestration")
def test_a_study_completes_without_a_broken_pack_and_says_so_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.parameters import AnalysisParameters, Resources, StudyParameters
    from flows.study import study

    run = RunDirectory(tmp_path / "run")
    fail_in_workers(monkeypatch, tmp_path / "trace", epoch=1, times=99)
    resources = Resources(retries=1, retry_delay=0.1, way="packed")
    state = study(
        StudyParameters(**STUDY.to_dict()), str(run), AnalysisParameters(splits=2), resources, return_state=True
    )
    assert state.is_completed(), state.message
    assert f"completed without 6 of 24 networks: pack {BROKEN} quarantined: RuntimeError: cosmic" in state.message
    text = " ".join(Path(state.result()).read_text().split())
    assert f"6 of 24 networks are missing: pack {BROKEN} quarantined: RuntimeError: cosmic" in text
    assert "6 missing" in text


@pytest.mark.usefixtures("orchestration")
def test_a_broken_checkpoint_is_named_in_the_log_and_costs_no_rows(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterLevel

    run = RunDirectory(tmp_path / "run")
    run.prepare(STUDY, {})
    run.checkpoints.mkdir()
    run.checkpoint(BROKEN).write_bytes(b"broken")
    assert sweep_state(STUDY, run.path).message == f"results: {run}"
    assert_same_numbers(run.store.read(), alone(STUDY))
    sentence = f"it was set aside as {BROKEN}.safetensors.broken, and {BROKEN} begins again"

    def warned() -> bool:
        with get_client(sync_client=True) as client:
            logs = client.read_logs(LogFilter(level=LogFilterLevel(ge_=30)))
        return any(sentence in log.message for log in logs)

    deadline = time.monotonic() + 60  # logs are sent in the background
    while not warned() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert warned()


@pytest.mark.usefixtures("orchestration")
def test_a_worker_that_dies_every_time_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_workers(monkeypatch, tmp_path / "trace", epoch=0, times=99, kill=True)
    state = sweep_state(STUDY.replace(epochs=1), tmp_path / "run", retries=1)
    assert state.is_completed()
    (pack,) = RunDirectory(tmp_path / "run").quarantine.packs()
    assert (pack.pack, pack.attempts) == (BROKEN, 2)
    assert "WorkerCrashedError" in pack.cause


@pytest.mark.usefixtures("orchestration")
def test_a_study_of_which_no_pack_can_be_trained_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "run")
    small = STUDY.replace(cells=["rnn"])
    fail_in_workers(monkeypatch, tmp_path / "trace", epoch=0, times=99, every=True)
    state = sweep_state(small, run.path, retries=0)
    assert state.is_failed()
    assert "no pack could be trained: packs rnn-6-pack0000, rnn-6-pack0001 quarantined: RuntimeError" in state.message


@pytest.mark.usefixtures("orchestration")
def test_packs_are_cancelled_when_the_sweep_cannot_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a cohort here is neither a pack's failure nor the place's: its other packs must not train on."""
    waits = tmp_path / "waits"

    def train(packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None) -> None:
        if number == 1:
            waits.write_text(str(os.getpid()))
            time.sleep(3600)
        while not waits.exists():
            time.sleep(0.1)

    def fail(training: Any, name: str, summary: Any) -> None:
        raise RuntimeError("disturbed")

    monkeypatch.setattr("flows.cohort.train_pack", train)
    monkeypatch.setattr("flows.cohort._Training._trained", fail)
    state = sweep_state(STUDY.replace(cells=["rnn"]), tmp_path / "run")
    assert state.is_failed()
    assert "disturbed" in state.message  # the state holds the error, and with it all that led there
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(waits.read_text())).wait(60)


@pytest.mark.usefixtures("orchestration")
def test_progress_gives_all_tries_again() -> None:
    from flows.parameters import Request, Resources
    from flows.ray_tasks.fan_out import fan_out

    failures: list[int] = []

    def stuck(name: str, error: Exception, attempts: int) -> int:
        failures.append(attempts)
        return min(attempts, 4)  # comes further four times

    def fail() -> None:
        raise ValueError("always")

    settings = Resources(retries=2, retry_delay=0)
    (outcome,) = fan_out(fail, [("job", ())], Request(1), settings, on_failure=stuck)
    assert failures == [1, 2, 3, 4, 5, 6]
    assert outcome.attempts == 6
    assert "always" in str(outcome.error)


@pytest.mark.usefixtures("orchestration")
def test_a_network_that_diverges_leaves_the_others_alone(tmp_path: Path) -> None:
    wild = Study(
        name="wild", cells=("cornn",), units=(6,), networks=6, epochs=2, ranges={"cornn": {"step": [0.01, 1e6]}}
    )
    assert sweep_state(wild, tmp_path / "run").is_completed()
    table = RunDirectory(tmp_path / "run").store.read(epoch=2)
    status = dict(zip(table["network"].to_pylist(), table["status"].to_pylist(), strict=True))
    assert set(status.values()) == {"ok", "diverged"}, status
    # Each network that did not diverge has the numbers that it has when it is trained without those that did.
    whole = cohorts(wild)[0].packs[0]
    for variant in whole.variants:
        if status[variant.network] == "ok":
            run = RunDirectory(tmp_path / variant.network)
            run.prepare(wild, {})
            alone = type(whole)("alone", whole.cell, whole.units, (variant,))
            run_pack(wild, alone, run, way="packed", checkpoints=False)
            assert_same_numbers(
                run.store.read(epoch=2), table.filter(pa.compute.equal(table["network"], variant.network))
            )


def test_a_pack_that_does_not_fit_on_a_gpu_is_halved_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allocations fail as on a GPU with room for three networks, from the middle of the second epoch on."""
    from aelle_core.training import ways

    losses, calls, failed_in = ways["packed"].losses, itertools.count(), []

    def greedy(self: Any, parameters: Any, constants: Any, batch: Any, *others: Any) -> torch.Tensor:
        if next(calls) >= 22 and len(batch.inputs) > 3:  # an epoch has 17 mini-batches
            failed_in.append(len(batch.inputs))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return losses(self, parameters, constants, batch, *others)

    monkeypatch.setattr(ways["packed"], "losses", greedy)
    run = RunDirectory(tmp_path / "run")
    run.prepare(STUDY, {})
    summary = run_pack(STUDY, cohorts(STUDY)[0].packs[0], run, way="packed")
    assert failed_in == [6]
    assert summary.stored == 4
    there, whole = run.store.read(), alone(STUDY)
    assert_same_numbers(there, whole.filter(pa.compute.is_in(whole["network"], there["network"])))
