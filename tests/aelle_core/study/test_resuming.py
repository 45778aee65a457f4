"""Runs that lost a fragment or a checkpoint, or whose checkpoint was altered: the same command completes them with the
numbers of an undisturbed run, and an analysis refuses what is not complete."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.foundation.errors import UserError
from aelle_core.store.compaction import compact
from aelle_core.store.dataset import StoreError
from aelle_core.store.fragments import WRITING
from aelle_core.study import RunDirectory, Study, run_study

STUDY = Study(name="resumed", cells=("rnn", "gru"), units=(4,), networks=12, pack_size=6, epochs=3)
PACK = "rnn-4-pack0000"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    torch.set_num_threads(1)
    run = RunDirectory(tmp_path_factory.mktemp("whole"))
    run_study(STUDY, run, way="packed")
    return run


@pytest.fixture
def run(whole: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of it that a test may damage."""
    shutil.copytree(str(whole), tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def fragment(run: RunDirectory, epoch: int, pack: str = PACK) -> Path:
    return Path(str(run.store.fragment(STUDY.identity, pack.split("-")[0], pack, epoch)))


def assert_completed(run: RunDirectory, whole: RunDirectory) -> None:
    """The same command completes the run, to the last bit."""
    run_study(STUDY, run)
    assert run.store.read().equals(whole.store.read())


@pytest.mark.parametrize("epochs", [[0], [1], [1, 2], [0, 3], [3], [0, 1, 2, 3]])
def test_a_fragment_that_was_removed_is_made_again(run: RunDirectory, whole: RunDirectory, epochs: list[int]) -> None:
    for epoch in epochs:
        fragment(run, epoch).unlink()
    with pytest.raises(UserError, match=r"18 of 24 networks .*run the same command again to finish it"):
        prepare_analysis(run.store, STUDY, splits=2, seed=0)
    kept = {path: path.stat().st_mtime_ns for path in Path(str(run)).rglob("*.parquet")}
    assert_completed(run, whole)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert len(prepare_analysis(run.store, STUDY, splits=2, seed=0).examples[1].networks) == 24


def test_the_advice_for_a_broken_fragment_mends_it(run: RunDirectory, whole: RunDirectory) -> None:
    path = fragment(run, 1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="remove it and run the study's command again"):
        run.store.read()
    path.unlink()
    assert_completed(run, whole)


def test_a_store_removed_and_made_again_loses_nothing(run: RunDirectory, whole: RunDirectory) -> None:
    shutil.rmtree(run.path / "spectra")
    assert_completed(run, whole)


def test_a_compacted_run_of_which_a_merged_file_was_removed_is_completed(
    run: RunDirectory, whole: RunDirectory
) -> None:
    compact(run.store)
    next(Path(str(run)).glob("spectra/study=*/cell=rnn/epoch=1/merged-*.parquet")).unlink()
    assert_completed(run, whole)


def test_an_older_fragment_that_lacks_a_row_is_named(run: RunDirectory, whole: RunDirectory) -> None:
    path = fragment(run, 1)
    short = pq.read_table(path, partitioning=None).slice(1).replace_schema_metadata({b"aelle_schema": b"1"})
    pq.write_table(short, path, **WRITING)
    with pytest.raises(UserError, match=rf"23 of 24 networks stored at epoch 1: {PACK} lacks rnn-4-00000; remove its"):
        prepare_analysis(run.store, STUDY, splits=2, seed=0)
    path.unlink()
    assert_completed(run, whole)


def test_a_network_that_the_study_does_not_have_is_named(run: RunDirectory) -> None:
    path = fragment(run, 3)
    table = pq.read_table(path, partitioning=None).replace_schema_metadata({b"aelle_schema": b"1"})
    at = table.schema.get_field_index("network")
    more = table.slice(0, 1).set_column(at, table.schema.field(at), pa.array(["rnn-4-99999"]))
    pq.write_table(pa.concat_tables([table, more]), path, **WRITING)
    with pytest.raises(UserError, match="has no network 'rnn-4-99999', of which rows are stored"):
        prepare_analysis(run.store, STUDY, splits=2, seed=0)


def changed(
    metadata: dict[str, str] | None = None,
    drop: tuple[str, ...] = (),
    tensors: Callable[[Any], Any] = lambda held: held,
) -> Callable[[Path], object]:
    """Write a checkpoint again with other content, its checksum left out: as far as older ones tell."""

    def change(path: Path) -> None:
        with safe_open(path, "pt") as file:
            held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            said = file.metadata()
        said = {key: value for key, value in (said | (metadata or {})).items() if key not in (*drop, "checksum")}
        save_file({key: value for key, value in tensors(held).items() if key not in drop}, path, said)

    return change


def flip(offset: int) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[offset] ^= 0x40
        path.write_bytes(bytes(content))

    return change


def with_weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], object]:
    return changed(tensors=lambda held: held | {"parameters/weight_hh": change(held["parameters/weight_hh"]).clone()})


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-50]),
    "a bit of the weights": flip(-1200),
    "a bit of the header": flip(200),
    "no checkpoint": lambda path: path.write_bytes(b"\x80\x04K\x01."),
    "epoch 999999": changed({"epoch": "999999"}),
    "epoch -1": changed({"epoch": "-1"}),
    "epoch x": changed({"epoch": "x"}),
    "no epoch": changed(drop=("epoch",)),
    "none at once": changed({"networks_at_once": "0"}),
    "no networks": changed(drop=("networks",)),
    "no format": changed(drop=("format",)),
    "other names": changed({"names": "[]"}),
    "no optimiser": changed(drop=("adam_steps",)),
    "no result": changed(drop=("result/validation_loss",)),
    "a tensor too many": changed(tensors=lambda held: held | {"more": torch.zeros(1)}),
    "another shape": with_weights(lambda value: value[..., :1]),
    "another type": with_weights(lambda value: value.double()),
    "more networks": with_weights(lambda value: torch.cat([value] * 2)),
    "results of seven": changed(
        tensors=lambda held: held | {key: torch.zeros(7) for key in held if key.startswith("result/")}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_is_not_whole_is_set_aside_and_the_pack_completed(
    run: RunDirectory, whole: RunDirectory, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(str(run.checkpoint(PACK)))
    fragment(run, 3).unlink()
    DAMAGES[damage](path)
    run_study(STUDY, run, way="packed")
    assert run.store.read().equals(whole.store.read())
    assert f"it was set aside as {PACK}.safetensors.broken, and {PACK} begins again" in caplog.text
    assert str(path) in caplog.text
    assert path.exists()
    assert path.with_name(f"{PACK}.safetensors.broken").exists()


def test_another_packs_checkpoint_is_set_aside(
    run: RunDirectory, whole: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    fragment(run, 3).unlink()
    shutil.copy(str(run.checkpoint("rnn-4-pack0001")), str(run.checkpoint(PACK)))
    assert_completed(run, whole)
    assert "is not of this pack: other networks; it was set aside" in caplog.text


def test_a_checkpoint_without_a_checksum_is_used_as_far_as_it_tells(
    run: RunDirectory, whole: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    fragment(run, 3).unlink()
    changed()(Path(str(run.checkpoint(PACK))))
    assert_completed(run, whole)
    assert caplog.text == ""


def test_a_pack_without_its_checkpoint_begins_again(run: RunDirectory, whole: RunDirectory) -> None:
    fragment(run, 3).unlink()
    run.checkpoint(PACK).unlink()
    run_study(STUDY, run, way="packed")
    assert run.store.read().equals(whole.store.read())
