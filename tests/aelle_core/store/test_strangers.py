"""Files that are not what their place says, values outside of their definitions, and copies: named, never counted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
import pyarrow.parquet as pq
import pytest

from aelle_core.store import schema
from aelle_core.store.compaction import compact
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.store.digests import ColumnDigest, joined, range_digests
from aelle_core.store.fragments import WRITING
from aelle_core.store.statement import REMEDY, REPLACES, SAYS
from tests.aelle_core.store.test_store import filled, keys, records

Change = Callable[[pa.Table], pa.Table]


def fragment(root: Path, pack: int = 0, epoch: int = 0) -> Path:
    return root / "study=a-1" / "cell=gru" / f"epoch={epoch}" / f"pack{pack}.parquet"


def rewrite(path: Path, change: Change, *, silent: bool) -> None:
    """Write a file's rows changed: as another tool does that keeps the metadata, or as a version that said nothing."""
    table = change(pq.read_table(path, partitioning=None))
    if silent:
        table = table.replace_schema_metadata({b"aelle_schema": b"1"})
    pq.write_table(table, path, **WRITING)


def column(name: str, value: Any) -> Change:
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        return table.set_column(table.schema.get_field_index(name), field, pa.array([value] * len(table), field.type))

    return change


@pytest.fixture(params=[False, True], ids=["says what it is", "written before files did"])
def silent(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def store(tmp_path: Path, silent: bool) -> SpectraStore:
    store = filled(tmp_path / "spectra")
    for path in sorted((tmp_path / "spectra").rglob("*.parquet")):
        if silent:
            rewrite(path, lambda table: table, silent=True)
        assert (SAYS in pq.read_metadata(path).metadata) is not silent
    assert store.read().num_rows == 18
    return store


COPIES: dict[str, Callable[[Path], Path]] = {
    "a conflict copy": lambda path: path.with_name("pack0.sync-conflict-20260101-101010-ABCDEFG.parquet"),
    "a backup": lambda path: path.with_name("pack0 (1).parquet"),
    "a copy by another name": lambda path: path.with_name("other.parquet"),
    "another pack's place": lambda path: path.with_name("pack1.parquet"),
    "epoch=000": lambda path: path.parent.parent / "epoch=000" / path.name,
    "a merged file's name": lambda path: path.with_name("merged-x.parquet"),
    "a merged file's whole name": lambda path: path.with_name("merged-0000001-abc.parquet"),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_named_and_never_counted(store: SpectraStore, kind: str) -> None:
    root = Path(str(store.path))
    copy = COPIES[kind](fragment(root))
    before = copy.read_bytes() if copy.exists() else None
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(fragment(root), copy)
    for use in (store.read, lambda: store.read(epoch="last"), lambda: compact(store)):
        with pytest.raises(StoreError) as refused:
            use()
        assert copy.name in str(refused.value) or copy.parent.name in str(refused.value)
    assert len(list(root.rglob("*.parquet"))) == 9 + (before is None)
    copy.unlink() if before is None else copy.write_bytes(before)
    assert store.read().num_rows == 18


@pytest.mark.parametrize("other", [{"epoch": 2}, {"study": "b-2"}, {"cell": "lstm"}])
def test_a_file_in_the_place_of_another_epoch_study_or_cell_is_named(tmp_path: Path, other: dict[str, Any]) -> None:
    store = filled(tmp_path)
    source = store.write(records(0, **{"epoch": 0, **other}))
    shutil.copy(source, fragment(tmp_path))
    with pytest.raises(StoreError, match=r"epoch=0/pack0\.parquet' holds pack pack0 of study .*expected pack pack0"):
        store.read(study="a-1", cell="gru", epoch=0)


WRONG: dict[str, tuple[Change, str]] = {
    "rows twice": (lambda table: pa.concat_tables([table, table]), "rows: expected 2|twice"),
    "a loss below 0": (column("validation_loss", -5.0), "validation_loss"),
    "no loss": (column("validation_loss", None), "validation_loss"),
    "a loss that is no number": (column("validation_loss", float("nan")), "validation_loss"),
    "an accuracy of 2": (column("validation_accuracy", 2.0), "validation_accuracy"),
    "a rising spectrum": (column("spectrum_hidden", [0.0, 1.0, 2.0]), "spectrum_hidden"),
    "a spectrum of NaN": (column("spectrum_hidden", [float("nan")] * 3), "spectrum_hidden"),
    "an infinite spectrum": (column("spectrum_hidden", [float("inf"), 1.0]), "spectrum_hidden"),
    "an empty spectrum": (column("spectrum_hidden", []), "spectrum_hidden"),
    "another status": (column("status", "OK!"), "status"),
    "a spectrum of one that diverged": (column("status", "diverged"), "status|spectrum_hidden"),
    "fewer than no dead directions": (column("dead_directions", -1), "dead_directions"),
    "another pack's rows": (column("pack", "pack1"), "pack"),
    "no rows": (lambda table: table.slice(0, 0), "0 rows|rows of no pack"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_rows_outside_of_their_definitions_are_named_and_not_compacted(store: SpectraStore, kind: str) -> None:
    root = Path(str(store.path))
    change, what = WRONG[kind]
    silent = SAYS not in pq.read_metadata(fragment(root)).metadata
    rewrite(fragment(root), change, silent=silent)
    with pytest.raises(StoreError, match=what) as refused:
        store.read()
    assert "epoch=0" in str(refused.value)
    with pytest.raises(StoreError, match=what):
        compact(store)
    assert len(list((root / "study=a-1" / "cell=gru" / "epoch=0").glob("*.parquet"))) == 3


def test_a_value_that_could_be_right_is_found_by_its_digest(tmp_path: Path) -> None:
    store = filled(tmp_path)
    rewrite(fragment(tmp_path), column("train_loss", 1.25), silent=False)
    with pytest.raises(StoreError, match=r"pack0\.parquet' holds another train_loss than was written: remove it"):
        store.read()
    assert store.read(columns=["validation_loss"]).num_rows == 18  # what is read is right
    with pytest.raises(StoreError, match="another train_loss"):
        compact(store)


@pytest.mark.parametrize("lost", ["a row less", "a row more"])
def test_rows_that_were_lost_or_added_are_found(tmp_path: Path, lost: str) -> None:
    store = filled(tmp_path)
    other = column("network", "gru-99")

    def change(table: pa.Table) -> pa.Table:
        return table.slice(1) if lost == "a row less" else pa.concat_tables([table, other(table.slice(0, 1))])

    rewrite(fragment(tmp_path), change, silent=False)
    with pytest.raises(StoreError, match=r"has (1 row|3 rows): expected 2"):
        store.read()


def test_networks_are_unique_in_an_epoch(tmp_path: Path) -> None:
    store = filled(tmp_path, epochs=1)
    store.write(records(7, 0, network="gru-0")[:1])
    with pytest.raises(StoreError, match=r"network 'gru-0' twice, in pack0\.parquet and pack7\.parquet"):
        store.read()
    with pytest.raises(StoreError, match="twice"):
        compact(store)


@pytest.mark.parametrize(
    ("replaces", "what"),
    [
        (json.dumps(["pack0.parquet"]).encode(), "0 packs, not the 1 that it replaces"),
        (b"[", "does not say which files it replaces"),
        (b"5", "does not say which files it replaces"),
        (b"\xff", "does not say which files it replaces"),
    ],
)
def test_a_merged_file_that_does_not_hold_what_it_replaces_costs_nothing(
    tmp_path: Path, replaces: bytes, what: str
) -> None:
    store = filled(tmp_path)
    table = pq.read_table(fragment(tmp_path), partitioning=None).slice(0, 0)
    table = table.replace_schema_metadata({b"aelle_schema": b"1", REPLACES: replaces})
    pq.write_table(table, fragment(tmp_path).with_name("merged-0000001-abc.parquet"), **WRITING)
    for use in (store.read, lambda: compact(store)):
        with pytest.raises(StoreError, match=what):
            use()
    assert fragment(tmp_path).exists()


def test_a_merged_file_says_what_it_holds_and_is_checked(tmp_path: Path) -> None:
    store = filled(tmp_path)
    compact(store)
    merged = sorted(tmp_path.rglob("merged-*.parquet"))[0]
    content = bytearray(merged.read_bytes())
    assert SAYS in pq.read_metadata(merged).metadata
    shutil.copy(merged, merged.parent.parent / "epoch=1" / "merged-0000003-aaaaaaaaaaaa.parquet")
    with pytest.raises(StoreError, match="holds merged packs of study a-1, cell gru, epoch 0: expected merged packs"):
        store.read()
    (merged.parent.parent / "epoch=1" / "merged-0000003-aaaaaaaaaaaa.parquet").unlink()
    table = pq.read_table(merged, partitioning=None)
    pq.write_table(column("train_loss", 3.0)(table), merged, **WRITING)
    with pytest.raises(StoreError, match="does not say what it holds"):
        store.read()
    merged.write_bytes(bytes(content))
    assert store.read().num_rows == 18


def test_older_and_newer_files_are_merged_together(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = store.read()
    rewrite(fragment(tmp_path, 1, 1), lambda table: table, silent=True)
    assert store.read().equals(before)
    compact(store)
    assert store.read().equals(before)
    assert all(SAYS in pq.read_metadata(path).metadata for path in tmp_path.rglob("*.parquet"))


def test_digests_do_not_depend_on_how_arrow_holds_the_values() -> None:
    random = np.random.default_rng(0)
    values = {
        "number": pa.array([None if number < 0.2 else number for number in random.random(40)], pa.float64()),
        "text": pa.array([None if count < 3 else "ä" * count for count in random.integers(0, 9, 40)]),
        "list": pa.array([None if count < 2 else list(random.random(count)) for count in random.integers(0, 6, 40)]),
        "map": pa.array(
            [[("a", 1.0), ("bc", float(number))] for number in range(40)], pa.map_(pa.string(), pa.float64())
        ),
    }
    for name, array in values.items():
        lengths = [7, 0, 20, 13]
        digests = range_digests(array, lengths)
        start = 0
        for length, digest in zip(lengths, digests, strict=True):
            alone = ColumnDigest()
            alone.add(
                pa.chunked_array(
                    [array.slice(start, length // 2), array.slice(start + length // 2, length - length // 2)]
                )
            )
            assert alone.text() == digest, name
            copied = pa.array(array.slice(start, length).to_pylist(), array.type)
            assert range_digests(copied, [length]) == [digest], name
            start += length
        changed = pa.concat_arrays([array.slice(0, 1), array.slice(2), array.slice(1, 1)])
        assert range_digests(changed, [40]) != range_digests(array, [40]), name
        assert joined(pa.chunked_array([array.slice(0, 5), array.slice(5)])).equals(array)


def test_values_that_break_a_definition_are_not_written(tmp_path: Path) -> None:
    store = SpectraStore(tmp_path)
    for changes in ({"status": "fine"}, {"validation_loss": np.nan}, {"spectrum_hidden": np.array([0.0, 1.0])}):
        with pytest.raises(StoreError, match=next(iter(changes))):
            store.write(records(0, 0, **changes))
    assert store.files() == []


@pytest.mark.parametrize("compacted", [False, True])
def test_polars_duckdb_and_arrow_read_the_directory(tmp_path: Path, compacted: bool) -> None:
    store = filled(tmp_path / "spectra")
    if compacted:
        compact(store)
    expected = sorted(keys(store.read()))
    frame = pl.scan_parquet(store.path, hive_partitioning=True).select("network", "epoch", "study").collect()
    assert sorted(zip(frame["network"], frame["epoch"], strict=True)) == expected
    assert set(frame["study"]) == {"a-1"}
    rows = duckdb.sql(f"select network, epoch from read_parquet('{store.path}/**/*.parquet', hive_partitioning=true)")
    assert sorted(rows.fetchall()) == expected
    table = pds.dataset(store.path, partitioning="hive").to_table(columns=["network", "epoch"])
    assert sorted(keys(table)) == expected


def test_a_store_with_the_former_marker_is_read_and_gets_the_new_one(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "_aelle-spectra-1").unlink()
    (tmp_path / "_aelle.json").write_text('{"format": "aelle-spectra", "schema": "1"}')
    assert SpectraStore(tmp_path, create=False).read().equals(store.read())
    assert not (tmp_path / "_aelle-spectra-1").exists()
    SpectraStore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_aelle-spectra-1", "study=a-1"]


def test_a_store_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "_aelle-spectra-2").touch()
    with pytest.raises(StoreError, match=r"_aelle-spectra-2' says another version: expected _aelle-spectra-1"):
        SpectraStore(tmp_path)


def test_a_link_that_leads_back_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "study=b-2").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(StoreError, match="leads back"):
        store.read()


def test_a_measure_is_one_line_in_the_schema_and_older_files_read_as_nulls(
    tmp_path: Path, run_with_measure: Callable[[str], str]
) -> None:
    filled(tmp_path, packs=1, epochs=1)
    assert run_with_measure(str(tmp_path)) == "[None, None, 2.5, 2.5] [None, None, 2.5, None, 2.5, None]"
    with pytest.raises(StoreError, match=r"merged-.*\.parquet' has another schema \(differing in \['horizon'\]\)"):
        SpectraStore(tmp_path).read()  # a version that does not know the measure says so


@pytest.fixture
def run_with_measure(repository: Path) -> Callable[[str], str]:
    """A process whose schema has the measure "horizon": it writes a pack with it, reads, merges and reads again."""
    import subprocess
    import sys

    file = repository / "aelle_core" / "store" / "schema.py"
    start = "MEASURES: dict[str, str] = {"
    source = file.read_text().replace(start, f"{start}'horizon': 'how far it sees', ")
    code = (
        "import sys, types; name = 'aelle_core.store.schema'; module = sys.modules[name] = types.ModuleType(name)\n"
        f"exec({source!r}, module.__dict__)\n"
        "from tests.aelle_core.store.test_store import records; from aelle_core.store import SpectraStore\n"
        "from aelle_core.store.compaction import compact\n"
        "store = SpectraStore(sys.argv[1]); store.write(records(1, 0, measures={'horizon': 2.5}))\n"
        "first = store.read()['horizon'].to_pylist(); compact(store); store.write(records(1, 1))\n"
        "print(first, store.read()['horizon'].to_pylist())"
    )

    def run(path: str) -> str:
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, cwd=repository)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_an_unknown_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unknown measure colour"):
        SpectraStore(tmp_path).write(records(0, 0, measures={"colour": 1.0}))
    assert pc.count(pa.array(schema.SCHEMA.names)).as_py() == len(set(schema.SCHEMA.names))


def test_whatever_byte_of_a_fragment_is_altered_the_rows_are_right_or_the_advice_mends_it(tmp_path: Path) -> None:
    store = filled(tmp_path)
    expected = store.read()
    path = sorted(tmp_path.rglob("*.parquet"))[0]
    whole = path.read_bytes()
    draw = np.random.default_rng(0)
    for offset in draw.choice(len(whole), 300, replace=False):
        altered = bytearray(whole)
        altered[offset] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(altered))
        try:
            rows = store.read()
        except StoreError as error:
            assert str(path) in str(error)
            assert REMEDY in str(error)
        else:
            assert rows.equals(expected)
