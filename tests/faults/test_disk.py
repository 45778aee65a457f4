"""A place of results that fails under way ends the sweep in one sentence; the same call goes on when it is cured."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aelle_core.study import RunDirectory, Study
from fault_injection.disk import Disk, mounted
from tests.faults.sweeps import alone, assert_same_numbers, once_stored, sweep_state

pytestmark = pytest.mark.usefixtures("orchestration")

STUDY = Study(name="disk", cells=("rnn", "lem"), units=(6,), networks=12, pack_size=6, epochs=12)
SECONDS = 120  # generous: it takes two or three


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 256 KiB."""
    with mounted(tmp_path / "disk", "256k") as disk:
        if disk is None:
            pytest.skip("a disk of its own cannot be mounted here")
        yield disk


def test_a_full_disk_ends_the_sweep_and_room_lets_it_go_on(small_disk: Disk) -> None:
    run = RunDirectory(small_disk.path / "run")
    with once_stored(run.path, 4, lambda: None) as begun:
        state = sweep_state(STUDY, run.path)
        assert time.monotonic() - begun[0] < SECONDS
    assert state.is_failed()
    assert state.message == f"'{run}' cannot be written: no space left on device"
    kept = run.store.read()
    assert 0 < kept.num_rows < 24 * 13
    assert run.quarantine.packs() == []
    assert not list(small_disk.path.rglob("_*.parquet.*")), "half-written files take up room"

    small_disk.cure()
    before = {path: path.stat().st_mtime_ns for path in small_disk.path.rglob("*.parquet")}
    assert sweep_state(STUDY, run.path).is_completed()
    assert before.items() <= {path: path.stat().st_mtime_ns for path in small_disk.path.rglob("*.parquet")}.items()
    assert_same_numbers(run.store.read(), alone(STUDY))


def test_a_disk_that_becomes_read_only_ends_the_sweep(small_disk: Disk) -> None:
    small_disk.cure()
    run = RunDirectory(small_disk.path / "run")

    with once_stored(run.path, 8, lambda: small_disk.cover(Path(str(run)))) as done:
        state = sweep_state(STUDY.replace(epochs=200), run.path)
        assert time.monotonic() - done[0] < SECONDS
    assert state.is_failed()
    assert state.message == f"'{run}' cannot be written: read-only file system"
    assert run.store.read().num_rows >= 8 * 6


@pytest.mark.parametrize("part", ["run", "run/spectra"])
def test_a_directory_removed_under_way_ends_the_sweep_and_is_not_made_again(tmp_path: Path, part: str) -> None:
    run = RunDirectory(tmp_path / "run")
    removed = tmp_path / part

    def remove() -> None:
        removed.rename(tmp_path / "elsewhere")

    with once_stored(run.path, 8, remove) as done:
        # Larger networks: between two files there must be time in which none is being written.
        state = sweep_state(STUDY.replace(epochs=200, units=[64]), run.path)
        assert time.monotonic() - done[0] < SECONDS
    assert state.is_failed()
    assert state.message.startswith("no ")
    assert str(removed) in state.message
    assert not removed.exists()
    assert list((tmp_path / "elsewhere").rglob("*.parquet"))


def test_the_same_call_begins_anew_where_the_directory_was_removed(tmp_path: Path) -> None:
    small = STUDY.replace(epochs=1)
    run = RunDirectory(tmp_path / "run")
    run.prepare(small, {})
    shutil.rmtree(run.path)
    assert sweep_state(small, run.path).is_completed()
    assert_same_numbers(run.store.read(), alone(small))
