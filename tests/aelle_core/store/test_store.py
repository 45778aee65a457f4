"""The dataset: whole fragments only, each row once, clear words about what does not belong."""

import dataclasses
import multiprocessing
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aelle_core.files.lock import alone
from aelle_core.store.compaction import compact
from aelle_core.store.dataset import SpectraStore, StoreError, read_stores
from aelle_core.store.schema import NetworkRecord, estimated_row_bytes


def records(pack: int, epoch: int, study: str = "a-1", cell: str = "gru", **changes: Any) -> list[NetworkRecord]:
    settings: dict[str, Any] = {
        "study": study, "task": "digits", "cell": cell, "units": 4, "pack": f"pack{pack}", "epoch": epoch,
        "status": "ok", "hyperparameters": {"scale": 0.1, "step": 0.5}, "train_loss": 1.0,
        "validation_loss": 2.0 / (epoch + 1), "validation_accuracy": 0.5,
        "spectrum_hidden": np.array([0.25, -1.0, -np.inf]), "dead_directions": 1, "sum_rule_residual": 0.0,
    }  # fmt: skip
    return [
        NetworkRecord(**{**settings, "network": f"{cell}-{2 * pack + index}", "seed": 2**62 + index, **changes})
        for index in range(2)
    ]


def filled(path: Path | str, packs: int = 3, epochs: int = 3) -> SpectraStore:
    store = SpectraStore(path)
    for pack in range(packs):
        for epoch in range(epochs):
            store.write(records(pack, epoch))
    return store


def keys(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["network"].to_pylist(), table["epoch"].to_pylist(), strict=True))


def test_round_trip(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path / "spectra")
    store.write(records(0, 0, spectrum_full=None, test_loss=0.5))
    row = store.read().to_pylist()[0]
    assert row["spectrum_hidden"] == [0.25, -1.0, -np.inf]
    assert row["spectrum_full"] is None
    assert row["test_accuracy"] is None
    assert row["test_loss"] == 0.5
    assert dict(row["hyperparameters"]) == {"scale": 0.1, "step": 0.5}
    assert row["seed"] == 2**62
    assert (row["study"], row["cell"], row["epoch"]) == ("a-1", "gru", 0)


def test_empty_store_reads_as_no_rows(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path)
    assert store.read().num_rows == 0
    assert store.studies() == []


def test_selection(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.write(records(0, 5, study="b-2", cell="lstm"))
    assert store.studies() == ["a-1", "b-2"]
    assert store.read(study="a-1").num_rows == 18
    assert store.read(cell=["lstm"]).num_rows == 2
    assert store.read(epoch=1).num_rows == 6
    assert store.read(epoch=[0, 5]).num_rows == 8
    assert store.read(units=5).num_rows == 0
    assert sorted(set(store.read(epoch="last")["epoch"].to_pylist())) == [2, 5]
    assert store.read(epoch="last").num_rows == 8
    assert store.read(columns=["network"]).column_names == ["network"]
    with pytest.raises(StoreError, match="unknown column colour"):
        store.read(columns=["colour"])


def test_many_stores_in_one_table(tmp_path: Path) -> None:
    filled(tmp_path / "one")
    SpectraStore(tmp_path / "two").write(records(0, 0, study="b-2"))
    assert read_stores([tmp_path / "one", tmp_path / "two"], epoch=0).num_rows == 8


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.write(records(0, 0))
    before = path.stat().st_mtime_ns
    assert store.write(records(0, 0, validation_loss=99.0)) == path
    assert path.stat().st_mtime_ns == before
    assert store.read().num_rows == 18


@pytest.mark.parametrize(
    "mixed", [[*records(0, 0), *records(1, 0)], [*records(0, 0), *records(0, 1)], records(0, 0, network="same"), []]
)
def test_a_fragment_is_of_one_pack_and_epoch(tmp_path: Path, mixed: list[NetworkRecord]) -> None:
    with pytest.raises(StoreError, match="expected"):
        SpectraStore(tmp_path).write(mixed)


def _write_for_ever(path: str) -> None:
    store = SpectraStore(path)
    for epoch in range(100_000):
        store.write(records(0, epoch))


def test_a_killed_writer_leaves_no_half_file(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path)
    context = multiprocessing.get_context("spawn")
    last = 0
    for attempt in range(3):
        writer = context.Process(target=_write_for_ever, args=(str(tmp_path),))
        writer.start()
        deadline = time.monotonic() + 60
        while len(store.files()) < last + 20 and time.monotonic() < deadline:
            stored = keys(store.read())  # reading beside it sees whole fragments only
            assert len(set(stored)) == len(stored)
            assert len(stored) % 2 == 0
        time.sleep(0.003 * attempt)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        stored = keys(store.read())
        assert len(set(stored)) == len(stored) == 2 * len(store.files())
        last = len(store.files())
    assert last >= 60


def test_compaction_keeps_every_row_once(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = store.read()
    result = compact(store)
    assert (result.before, result.after) == (9, 3)
    assert store.read().equals(before)
    assert store.has("a-1", "gru", "pack1", 2)
    assert not store.has("a-1", "gru", "pack9", 2)
    store.write(records(1, 2))
    assert store.read().equals(before)
    store.write(records(3, 0))
    compact(store)
    assert store.read().num_rows == 20
    assert len(store.files()) == 3


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_a_stopped_compaction_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    store = filled(tmp_path)
    compact(store)
    for epoch in range(3):
        store.write(records(7, epoch))
    before = store.read()
    removed = 0
    original = Path.unlink

    def stop(path: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        if path.suffix == ".parquet" and path.exists():
            if removed == allowed:
                raise KeyboardInterrupt
            removed += 1
        original(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        compact(store)
    monkeypatch.undo()
    assert store.read().equals(before)
    assert compact(store).after == 3
    assert store.read().equals(before)


def test_foreign_and_broken_files_are_named(tmp_path: Path) -> None:
    store = filled(tmp_path)
    directory = tmp_path / "study=a-1" / "cell=gru" / "epoch=0"
    (directory / "_temporary").write_text("ignored")
    (directory / ".hidden").write_text("ignored")
    assert store.read().num_rows == 18
    whole = (directory / "pack0.parquet").read_bytes()
    for name, content in (
        ("notes.txt", b"text"),
        ("half.parquet.tmp", whole[:50]),
        ("half.parquet", whole[: len(whole) // 2]),
        ("empty.parquet", b""),
    ):
        (directory / name).write_bytes(content)
        with pytest.raises(StoreError, match=name.replace(".", r"\.")):
            store.read()
        (directory / name).unlink()
    pq.write_table(pa.table({"a": [1]}), directory / "other.parquet")
    with pytest.raises(StoreError, match=r"other\.parquet' has another schema"):
        store.read()


def test_other_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing' is not there: expected a directory with spectra"):
        SpectraStore(tmp_path / "missing", create=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no spectra in"):
        SpectraStore(tmp_path / "empty", create=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        SpectraStore(tmp_path / "file")
    with pytest.raises(StoreError, match="holds other files"):
        SpectraStore(tmp_path)
    (tmp_path / "_aelle.json").write_text('{"format": "aelle-spectra", "schema": "999"}')
    with pytest.raises(StoreError, match="999"):
        SpectraStore(tmp_path)
    (tmp_path / "_aelle.json").write_text("{")
    with pytest.raises(StoreError, match=r"_aelle\.json' cannot be read"):
        SpectraStore(tmp_path)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SpectraStore(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(records(0, 0))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["_aelle-spectra-1"]
    store.write(records(0, 0))
    assert store.read().num_rows == 2


def test_last_epoch_does_not_bring_back_what_diverged(tmp_path: Path) -> None:
    store = filled(tmp_path, packs=1)
    store.write(records(0, 3, status="diverged", spectrum_hidden=None, validation_loss=np.nan))
    assert store.read(epoch="last", status="ok").num_rows == 0
    assert store.read(epoch="last", status="diverged", columns=["epoch"])["epoch"].to_pylist() == [3, 3]
    assert all(np.isnan(store.read(epoch=np.int64(3))["validation_loss"].to_numpy()))


@pytest.mark.parametrize("choice", [{"epoch": "first"}, {"units": "many"}, {"units": 2**40}, {"cell": [1.5]}])
def test_a_choice_of_the_wrong_kind_is_named(tmp_path: Path, choice: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=f"{next(iter(choice))}=.*expected"):
        filled(tmp_path, packs=1).read(**choice)


@pytest.mark.parametrize(
    "changes", [{"spectrum_hidden": np.zeros((2, 2))}, {"units": "many"}, {"epoch": -1}, {"study": "../up"}]
)
def test_values_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    store = SpectraStore(tmp_path)
    with pytest.raises(StoreError, match="expected"):
        store.write([dataclasses.replace(record, **changes) for record in records(0, 0)])
    assert store.files() == []


def test_damaged_content_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.fragment("a-1", "gru", "pack1", 1)
    group = pq.read_metadata(path).row_group(0)
    column = next(group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "seed")
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1  # one bit of a value: the footer is whole
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"epoch=1/pack1\.parquet' is broken"):
        store.read()
    with pytest.raises(StoreError, match="is broken"):
        compact(store)


def test_files_at_the_wrong_place_or_of_another_version_are_named(tmp_path: Path) -> None:
    store = filled(tmp_path, packs=1)
    table = pq.read_table(store.fragment("a-1", "gru", "pack0", 0), partitioning=None)
    wrong = tmp_path / "study=a-1" / "cell=gru" / "epoch=last" / "pack0.parquet"
    wrong.parent.mkdir()
    pq.write_table(table, wrong)
    with pytest.raises(StoreError, match=r"epoch=last/pack0\.parquet' does not belong"):
        store.read()
    wrong.unlink()
    other = wrong.parent.parent / "epoch=0" / "other.parquet"
    pq.write_table(table.replace_schema_metadata({"aelle_schema": "2"}), other)
    with pytest.raises(StoreError, match=r"other\.parquet' says schema '2'.* or, if it is damaged, remove it and"):
        store.read()


def test_reading_beside_a_compaction(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path)
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                if len(set(stored := keys(store.read()))) != len(stored) or not store.has("a-1", "gru", "pack0", 0):
                    failures.append(f"{len(stored)} rows")
            except Exception as error:
                failures.append(repr(error))

    store.write(records(0, 0))
    reader = threading.Thread(target=read)
    reader.start()
    for pack in range(1, 60):
        store.write(records(pack, 0))
        if pack % 6 == 0:
            compact(store)
    done.set()
    reader.join()
    assert failures == []
    assert store.read().num_rows == 120


def _write_packs(path: str) -> None:
    store = SpectraStore(path)
    for pack in range(15):
        store.write(records(pack, 0))


def test_processes_that_write_the_same_fragments(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a process that has held a Ray cluster must not fork
    writers = [context.Process(target=_write_packs, args=(str(tmp_path / "spectra"),)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert SpectraStore(tmp_path / "spectra").read().num_rows == 30


def test_one_compaction_at_a_time_and_old_leftovers_go(tmp_path: Path) -> None:
    store = filled(tmp_path)
    directory = store.fragment("a-1", "gru", "pack0", 0).parent
    for name, age in (("_pack8.parquet.old", 7200), ("_pack9.parquet.new", 60)):
        (directory / name).write_bytes(b"half")
        os.utime(directory / name, (time.time() - age,) * 2)
    with alone(store.path, "_compaction.lock"), pytest.raises(StoreError, match="one at a time"):
        compact(store)
    assert compact(store).removed_leftovers == 1
    assert [path.name for path in directory.glob("_*")] == ["_pack9.parquet.new"]


def test_errors_travel_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(StoreError("what, and what was expected")))).startswith("what")


@pytest.mark.parametrize("units", [32, 256])
def test_the_estimate_for_a_plan_is_near_what_is_written(tmp_path: Path, units: int) -> None:
    random = np.random.default_rng(0)
    members = [
        dataclasses.replace(record, pack="pack0", spectrum_hidden=-np.sort(random.exponential(size=units)))
        for pack in range(8)
        for record in records(pack, 0)
    ]
    size = SpectraStore(tmp_path).write(members).stat().st_size
    assert 0.6 < size / (len(members) * estimated_row_bytes(units, pack_size=len(members))) < 1.4
