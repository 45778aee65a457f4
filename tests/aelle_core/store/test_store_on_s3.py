"""Studies in an object store, where nothing can be renamed or locked: nothing lost, nothing doubled."""

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from aelle_core.analysis.kept_tables import kept_tables
from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.analysis.report import draw_report, report_data
from aelle_core.analysis.saved import fit_aelle, save_analysis
from aelle_core.cli.main import app
from aelle_core.evaluation import evaluate_split
from aelle_core.files.lock import TakenError, alone
from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import place
from aelle_core.foundation.errors import PlaceError, UserError
from aelle_core.store.compaction import compact
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.study import RunDirectory, Study, cohorts, run_pack, run_study
from aelle_core.study.faults import place_failures_named
from tests.aelle_core.store.test_store import filled, keys, records
from tests.helpers.object_store import ObjectStore

SMALL = Study(name="small", cells=("rnn", "gru"), units=(4,), networks=6, pack_size=3, epochs=2)


@pytest.fixture
def address(object_store: ObjectStore, bucket: str) -> str:
    return object_store.address(bucket, "run")


@pytest.mark.parametrize("merged", [False, True])
def test_a_store_is_the_same_as_in_a_directory(address: str, tmp_path: Path, merged: bool) -> None:
    there, here = filled(address), filled(tmp_path)
    for store in (there, here):
        store.write(records(0, 5, study="b-2", cell="lstm"))
        if merged:
            assert compact(store).after == 4
    for choices in ({}, {"study": "a-1", "epoch": [1, 2]}, {"epoch": "last"}, {"cell": "lstm", "columns": ["network"]}):
        assert there.read(**choices).equals(here.read(**choices))
    assert there.studies() == ["a-1", "b-2"]
    assert there.stored("a-1") == here.stored("a-1") == {("gru", f"pack{pack}"): {0, 1, 2} for pack in range(3)}
    assert there.has("a-1", "gru", "pack1", 2)
    assert not there.has("a-1", "gru", "pack9", 2)
    assert [path.name.split("-")[0] for path in there.files()] == [path.name.split("-")[0] for path in here.files()]


def test_what_is_stored_is_told_in_few_requests(object_store: ObjectStore, address: str) -> None:
    store = filled(address, packs=4, epochs=3)
    for _ in range(2):
        object_store.requests.clear()
        assert store.stored("a-1", "gru") == {("gru", f"pack{pack}"): {0, 1, 2} for pack in range(4)}
        assert len(object_store.requests) <= 2
        compact(store)
        store.stored("a-1")  # reads what the merged files hold, once


def test_a_study_from_training_to_the_report(
    address: str, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    run, alone_here = RunDirectory(address), RunDirectory(tmp_path / "run")
    for directory in (run, alone_here):
        directory.check(SMALL)
        run_study(SMALL, directory, way="packed")
    assert run.store.read().equals(alone_here.store.read())
    before = set(object_store.keys(bucket))
    object_store.requests.clear()
    run_study(SMALL, run)  # nothing is missing
    assert set(object_store.keys(bucket)) == before
    written = [path for method, path, _ in object_store.requests if method == "PUT"]
    assert not [path for path in written if "spectra/" in path or "checkpoints/" in path]

    analysis = prepare_analysis(run.store, run.study(), splits=2, seed=0)
    parameters = {"target": "log", "alphas": (5.0,), "steps": 5}
    measurements = [
        measurement
        for split in analysis.splits
        for measurement in evaluate_split(
            analysis.examples, split, threshold=analysis.threshold, aelle_parameters=parameters, seed=0
        )
    ]
    aelle = fit_aelle(analysis, run.study(), parameters)
    save_analysis(run, measurements, aelle, {"splits": 2, "seed": 0, "regress": "log"})
    report = draw_report(run, report_data(run))
    assert "data:image/png;base64," in report.read_text()
    assert str(run.path / "spectra").split("?")[0] in report.read_text()
    held = {key.split("/", 1)[1] for key in object_store.keys(bucket)}
    assert {"study.json", "report.html", "analysis/aelle.safetensors", "figures/1_spectra_by_cell.svg"} <= held
    assert len([key for key in held if key.startswith("checkpoints/")]) == 4

    made = []
    for _ in range(2):
        assert kept_tables(run.analysis / "tables.json", {"splits": 2}, lambda: made.append(1) or []) == []
    assert made == [1]
    checkpoint = str(run.checkpoint("gru-4-pack0001"))
    done = CliRunner().invoke(app, ["predict", address, checkpoint, "--network", "gru-4-00004"])
    assert done.exit_code == 0, done.output
    assert "expected final" in done.stdout


def test_a_pack_goes_on_where_its_checkpoint_was_stored(address: str, tmp_path: Path) -> None:
    run, undisturbed = RunDirectory(address), RunDirectory(tmp_path / "run")
    run_study(SMALL, undisturbed, way="packed")

    class StopError(Exception):
        pass

    def stop(pack: Any, epoch: int) -> None:
        if epoch == 1:
            raise StopError

    with pytest.raises(StopError):
        run_study(SMALL, run, way="packed", on_epoch=stop)
    trained: list[int] = []
    run.prepare(SMALL, {})
    run_pack(SMALL, cohorts(SMALL)[0].packs[0], run, on_epoch=lambda pack, epoch: trained.append(epoch))
    assert trained == [1, 2]
    assert run.store.read().equals(undisturbed.store.read(cell="rnn").slice(0, 9))


def test_a_run_that_is_lost_is_not_made_again(address: str, tmp_path: Path) -> None:
    for run in (RunDirectory(address), RunDirectory(tmp_path / "run")):

        def lose(pack: Any, epoch: int, run: RunDirectory = run) -> None:
            if epoch == 1:
                remove(run.path)

        with pytest.raises(StoreError, match=r"run.*expected"):
            run_study(SMALL, run, way="packed", on_epoch=lose)
        assert not [path for path in run.path.glob("*") if path.is_file()]
        assert not (run.path / "checkpoints").exists()
        assert not (run.path / "spectra").exists()
        with pytest.raises(StoreError, match="no study in"):
            _ = run.store


def test_a_store_that_is_lost_alone_is_not_made_again_by_its_run(address: str) -> None:
    run = RunDirectory(address)
    run.prepare(SMALL, {})
    remove(run.path / "spectra")
    with pytest.raises(StoreError, match=re.escape(f"{str(run.path / 'spectra')!r} is not there")):
        run_pack(SMALL, cohorts(SMALL)[0].packs[0], run)
    with (
        pytest.raises(PlaceError, match=re.escape(f"{str(run.path / 'spectra')!r} is not there")),
        place_failures_named(run),
    ):
        raise ValueError("of a pack")
    run.prepare(SMALL, {})
    assert run.store.files() == []


def test_a_refusal_is_the_places_failure_and_not_the_packs(address: str, object_store: ObjectStore) -> None:
    run = RunDirectory(address)
    run.prepare(SMALL, {})

    def no_writing(request: dict[str, Any]) -> tuple[int, str] | None:
        return (403, "AccessDenied") if request["REQUEST_METHOD"] == "PUT" else None

    with (
        object_store.failing(no_writing),
        pytest.raises(PlaceError, match=r"cannot be used: .*ACCESS_DENIED"),
        place_failures_named(run),
    ):
        run_pack(SMALL, cohorts(SMALL)[0].packs[0], run)


def test_a_store_that_is_lost_is_not_made_again(address: str, tmp_path: Path) -> None:
    for store in (filled(address), filled(tmp_path / "spectra")):
        remove(store.path)
        for use in (lambda store=store: store.write(records(9, 0)), store.read):
            with pytest.raises(StoreError, match="no longer there"):
                use()
        assert not store.path.exists()


def remove(where: Any) -> None:
    if isinstance(where, ObjectPath):
        where.filesystem.delete_dir_contents(where.key)
        where.filesystem.delete_dir(where.key)
    else:
        import shutil

        shutil.rmtree(where)


def test_processes_that_write_the_same_fragments(address: str) -> None:
    code = (
        "from aelle_core.store.dataset import SpectraStore\nfrom tests.aelle_core.store.test_store import records\n"
        f"store = SpectraStore({address!r})\nfor pack in range(8): store.write(records(pack, 0))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert SpectraStore(address).read().num_rows == 16


def test_reading_and_writing_beside_compactions(address: str) -> None:
    store = SpectraStore(address)
    failures: list[str] = []
    done = threading.Event()
    store.write(records(0, 0))

    def read() -> None:
        seen = 0
        while not done.is_set():
            try:
                stored = keys(store.read())
                if len(set(stored)) != len(stored) or len(stored) < seen or not store.has("a-1", "gru", "pack0", 0):
                    failures.append(f"{len(stored)} rows after {seen}")
                seen = len(stored)
            except Exception as error:
                failures.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    for pack in range(1, 12):
        store.write(records(pack, 0))
        if pack % 3 == 0:
            compact(store, minimum_files=3)
    done.set()
    reader.join()
    assert failures == []
    assert store.read().num_rows == 24


def test_two_compactions_at_once_double_and_lose_nothing(address: str, tmp_path: Path) -> None:
    for store in (filled(address, packs=6, epochs=1), filled(tmp_path, packs=6, epochs=1)):
        before = store.read()
        first, second = (merged_by_hand(store, packs) for packs in ((0, 1, 2), (1, 2, 3)))
        assert store.read().equals(before)
        assert len(store.files()) == 4
        for pack in range(4):
            store.fragment("a-1", "gru", f"pack{pack}", 0).unlink()
        assert SpectraStore(store.path).read().equals(before)
        store.write(records(2, 0, validation_loss=99.0))
        assert store.read(epoch="last").equals(before)
        assert store.stored("a-1") == {("gru", f"pack{pack}"): {0} for pack in range(6)}
        # Only one of the two goes into a file of a larger size: what the other holds must still count once.
        second_only = merged_by_hand(store, (), [second])
        assert store.read().equals(before)
        assert compact(store).after == 1
        assert store.read().equals(before)
        assert not first.exists()
        assert not second_only.exists()


def merged_by_hand(store: SpectraStore, packs: tuple[int, ...], sources: list[Any] | None = None) -> Any:
    """A merged file as a compaction writes it that knows of nothing else."""
    from aelle_core.store.compaction import _write_merged

    directory = store.contents.directory("a-1", "gru", 0)
    return _write_merged(
        store, directory, [f"pack{pack}.parquet" for pack in packs] + [source.name for source in sources or ()]
    )


def test_of_two_compactions_one_gives_way(address: str) -> None:
    store = filled(address)
    with alone(store.path, "_compaction.lock"), pytest.raises(StoreError, match="one at a time"):
        compact(store)
    assert compact(store).after == 3


def test_a_lease_runs_out_and_is_noticed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = place(address)
    monkeypatch.setattr("aelle_core.files.lock.LEASE_SECONDS", 1.0)
    with alone(root, "_lock") as renew:
        renew()
        with ExitStack() as held:
            deadline = time.monotonic() + 60
            while True:
                try:
                    held.enter_context(alone(root, "_lock"))
                    break
                except TakenError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            with pytest.raises(TakenError, match="one at a time"):
                renew()
    monkeypatch.setattr("aelle_core.files.lock.LEASE_SECONDS", 4.0)  # three, as the store tells times in whole seconds
    with alone(root, "_lock") as renew:
        begun = time.monotonic()
        while time.monotonic() - begun < 6:
            time.sleep(0.5)
            renew()
            with pytest.raises(TakenError), alone(root, "_lock"):
                pass


def test_a_store_of_another_version_or_with_other_files_is_refused(address: str) -> None:
    root = place(address)
    assert isinstance(root, ObjectPath)
    (root / "thesis.tex").write_bytes(b"text")
    with pytest.raises(StoreError, match="holds other files"):
        SpectraStore(address)
    with pytest.raises(UserError, match=r"holds other files and no study\.json"):
        RunDirectory(address).check(SMALL)
    (root / "_aelle.json").write_bytes(json.dumps({"format": "aelle-spectra", "schema": "999"}).encode())
    with pytest.raises(StoreError, match="999"):
        SpectraStore(address)


def test_a_broken_object_is_named_and_a_silent_store_is_not_called_broken(
    address: str, object_store: ObjectStore
) -> None:
    store = filled(address)
    broken = store.fragment("a-1", "gru", "pack1", 1)
    whole = broken.read_bytes()
    (broken.parent / "half.parquet").write_bytes(whole[: len(whole) // 2])  # type: ignore[union-attr]
    with pytest.raises(StoreError, match=r"half\.parquet.* is broken"):
        store.read()
    (broken.parent / "half.parquet").unlink()

    def no_content(request: dict[str, Any]) -> tuple[int, str] | None:
        content = request["REQUEST_METHOD"] == "GET" and request["PATH_INFO"].endswith(".parquet")
        return (403, "AccessDenied") if content else None

    with object_store.failing(no_content), pytest.raises(StoreError, match=r"ACCESS_DENIED.*expected credentials"):
        store.read()


def test_merged_files_of_earlier_versions_are_understood(tmp_path: Path) -> None:
    store = filled(tmp_path, epochs=1)
    before = store.read()
    assert compact(store).after == 1
    path = store.files()[0]
    path.rename(path.with_name("merged-0000003.parquet"))
    store.write(records(7, 0))
    assert store.has("a-1", "gru", "pack0", 0)
    assert compact(SpectraStore(tmp_path), minimum_files=2).after == 2
    assert compact(store).after == 1
    left = store.read()
    assert left.filter(pc.field("pack") != "pack7").equals(before)
    assert left.num_rows == 8


def test_compaction_by_sizes_leaves_big_files_alone(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path)
    written: dict[str, int] = {}
    for pack in range(64):
        store.write(records(pack, 0))
        compact(store, minimum_files=4)
        for path in store.files():
            if path.name.startswith("merged-"):
                written.setdefault(path.name, pq.read_metadata(path).num_rows)  # type: ignore[arg-type]
    assert len(store.files()) == 1
    # Merged by fours: each of 128 rows is written in files of 4, 16 and 64 packs at most once.
    assert sum(written.values()) <= 3 * 128
    with pytest.raises(StoreError, match="minimum_files=1"):
        compact(store, minimum_files=1)


def test_the_last_epoch_is_read_with_its_columns_alone(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.write(records(9, 1))
    last = store.read(epoch="last", columns=["network", "epoch"])
    assert isinstance(last, pa.Table)
    assert dict(keys(last)) == {**{f"gru-{number}": 2 for number in range(6)}, "gru-18": 1, "gru-19": 1}
