"""The choice of a way, what it remembers, packs that do not fit into memory, and going on in the recorded way."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, cohorts, run_pack, run_study
from aelle_core.tasks import get_task
from aelle_core.training import (
    NetworkSettings,
    PackTrainer,
    Timing,
    WayTimings,
    Workload,
    fastest,
    read_checkpoint,
    ways,
)
from aelle_core.training.memory import is_out_of_memory, network_bytes
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import Way

TASK = get_task("digits")
SETTINGS = [NetworkSettings(seed, 0.2, 3e-3) for seed in range(5)]
CPU = torch.device("cpu")


def trainer(way: str = "packed", name: str = "gru") -> PackTrainer:
    return PackTrainer(get_cell(name, TASK.input_size, 8), TASK, SETTINGS, way=way)


def test_another_way_must_be_a_tenth_faster_than_the_reference() -> None:
    def chosen(**seconds: float) -> str:
        return fastest({way: Timing(value, 4) for way, value in seconds.items()})

    assert chosen(packed=1.0, compiled=0.95) == "packed"
    assert chosen(packed=1.0, compiled=0.8, fused=0.7) == "fused"
    assert chosen(packed=1.0, compiled=2.0) == "packed"


def test_times_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timings = WayTimings(PackTrainer, tmp_path)
    workload = Workload.of(get_cell("lstm", 8, 8), TASK, 64, 3, CPU)
    assert timings.read(workload) is None
    seconds = timings.measure(workload)
    assert set(seconds) == {"packed", "compiled", "fused"}
    assert all(timing.seconds > 0 and 1 <= timing.networks_at_once <= 3 for timing in seconds.values())
    monkeypatch.setattr(timings, "measure", lambda workload: pytest.fail("measured twice"))
    assert timings.read(workload) == seconds
    assert timings.chosen(workload) == (fastest(seconds), seconds[fastest(seconds)].networks_at_once)
    with monkeypatch.context() as without:
        without.setattr(ways["fused"], "obstacle", lambda cell, device: "not here")
        assert timings.read(workload) is None, "there are other ways now"
    other = Workload.of(get_cell("lstm", 8, 8), TASK, 64, 4, CPU)
    assert timings.read(other) is None
    file = next(tmp_path.rglob("*.json"))
    file.write_text(file.read_text()[:40])
    assert timings.read(workload) is None


def test_times_on_a_machine_whose_memory_others_hold_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = Workload.of(get_cell("gru", 8, 8), TASK, 64, 5, CPU)
    needed = network_bytes(get_cell("gru", 8, 8), TASK, 64)
    monkeypatch.setattr("aelle_core.training.memory.free_bytes", lambda device, threads: int(2.5 * needed))
    assert {timing.networks_at_once for timing in WayTimings(PackTrainer, tmp_path).measure(workload).values()} <= {2}
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("way", ["compiled", "bfloat16"])
def test_a_forced_way_is_taken_and_recorded_and_a_resumed_pack_goes_on_in_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(cells=("lem",), units=(6,), networks=3, epochs=4)
    pack = cohorts(study)[0].packs[0]
    undisturbed = RunDirectory(tmp_path / "undisturbed")
    run_study(study, undisturbed, way=way)
    stopped = RunDirectory(tmp_path / "stopped")
    stopped.prepare(study, TASK.statement())

    class StoppedError(Exception):
        pass

    def stop(_: object, epoch: int) -> None:
        if epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_pack(study, pack, stopped, way=way, on_epoch=stop)
    held = read_checkpoint(stopped.checkpoint(pack.name))
    assert (held.way, held.networks_at_once) == (way, 3)
    monkeypatch.setattr(WayTimings, "chosen", lambda self, workload: pytest.fail("asked for the fastest way"))
    run_pack(study, pack, stopped)
    for column in ("train_loss", "validation_loss"):
        whole, resumed = (
            run.store.read().sort_by([("network", "ascending"), ("epoch", "ascending")])
            for run in (undisturbed, stopped)
        )
        assert whole[column].to_pylist() == resumed[column].to_pylist()


@pytest.mark.parametrize("way", ["packed", "compiled", "fused"])
def test_when_memory_runs_out_the_pack_is_halved_and_goes_on_with_the_same_numbers(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allocation fails for real, in the middle of an epoch, as long as more than two networks are together."""
    expected = list(trainer(way).run(2))
    pack = trainer(way)
    losses = ways[way].losses

    def greedy(own: Way, parameters: dict[str, Tensor], constants: object, batch: MiniBatch, *others: object) -> Tensor:
        if len(batch.inputs) > 2 and pack.epoch == 0 and pack.optimiser.steps > 5:
            torch.empty(2**48)
        return losses(own, parameters, constants, batch, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(ways[way], "losses", greedy)
    results = list(pack.run(2))
    assert pack.networks_at_once == 2
    assert pack.optimiser.steps == 34
    for result, other in zip(results, expected, strict=True):
        torch.testing.assert_close(result.train_loss, other.train_loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(result.validation_loss, other.validation_loss, rtol=1e-5, atol=1e-6)


def test_when_memory_runs_out_in_an_evaluation_its_sequences_become_fewer_then_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = trainer().evaluate(TASK.splits.training)
    scores = ways["packed"].scores
    room, sizes = 0, []

    def greedy(own: Way, parameters: dict[str, Tensor], constants: object, batch: MiniBatch) -> Tensor:
        networks, _, rows = batch.inputs.shape[:3]
        sizes.append((networks, rows))
        if networks * rows > room:
            torch.empty(2**48)
        return scores(own, parameters, constants, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(ways["packed"], "scores", greedy)
    for room, first, at_once in ((5 * 64, (5, 64), 5), (2 * 64, (2, 64), 2)):
        pack = trainer()
        sizes.clear()
        results = pack.evaluate(TASK.splits.training)
        assert sizes[0] == (5, len(TASK.splits.training))
        assert next(size for size in sizes if size[0] * size[1] <= room) == first
        assert pack.networks_at_once == at_once
        for result, other in zip(results, expected, strict=True):
            torch.testing.assert_close(result, other, rtol=1e-5, atol=1e-6)


def test_a_pack_of_which_fewer_were_together_goes_on_so_in_a_forced_way_too(tmp_path: Path) -> None:
    study = Study(cells=("lem",), units=(6,), networks=3, epochs=2)
    pack, run = cohorts(study)[0].packs[0], RunDirectory(tmp_path)
    run.prepare(study, TASK.statement())
    path = run.checkpoint(pack.name)

    class StoppedError(Exception):
        pass

    def train_to(last: int, way: str, at_once: int | None) -> tuple[str, int | None]:
        def stop(_: object, epoch: int) -> None:
            if epoch == last:
                raise StoppedError

        with pytest.raises(StoppedError):
            run_pack(study, pack, run, way=way, at_once=at_once, on_epoch=stop)
        held = read_checkpoint(path)
        return held.way, held.networks_at_once

    assert train_to(0, "packed", 2) == ("packed", 2)
    assert train_to(1, "packed", None) == ("packed", 2)
    assert train_to(2, "compiled", None) == ("compiled", 3)


def test_one_network_that_does_not_fit_is_an_error_and_others_errors_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = trainer()
    monkeypatch.setattr(ways["packed"], "hidden", lambda *_: torch.empty(2**48))
    with pytest.raises(UserError, match=r"one gru of 8 units with batch_size=64 and 8 steps does not fit into memory"):
        pack.train_epoch()
    pack = trainer()
    monkeypatch.setattr(ways["packed"], "hidden", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        pack.train_epoch()


def test_failed_allocations_are_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_pack_is_trained_in_parts_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer("compiled")
    needed = network_bytes(whole.cell, TASK, 64)
    monkeypatch.setattr("aelle_core.training.memory.free_bytes", lambda device, threads: int(3.5 * needed))
    parts = trainer("compiled")
    assert (whole.networks_at_once, parts.networks_at_once) == (5, 3)
    for _ in range(2):
        torch.testing.assert_close(parts.train_epoch(), whole.train_epoch(), rtol=1e-5, atol=1e-6)
    assert parts.optimiser.steps == whole.optimiser.steps == 34
