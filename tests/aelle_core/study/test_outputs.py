"""Where results may go: no planted link is followed, nothing but files is replaced, and a look writes nothing."""

import os
import socket
import stat
from pathlib import Path

import pytest

from aelle_core.files.atomic import write_atomically
from aelle_core.files.lock import alone
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, get_preset
from tests.helpers.command import aelle

STUDY = get_preset("digits").replace(cells=["rnn"], units=[4], networks=2, epochs=1)


def test_the_write_test_follows_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    directory = tmp_path / "place"
    directory.mkdir()
    for name in ("_aelle-write-test", "_aelle-run.lock"):
        (directory / name).symlink_to(precious)
    RunDirectory(directory / "run").check(STUDY)
    RunDirectory(directory).check(STUDY)
    assert precious.read_text() == "kept"
    assert sorted(path.name for path in directory.iterdir()) == ["_aelle-run.lock", "_aelle-write-test"]
    with pytest.raises(UserError, match="is a link"), alone(directory, "_aelle-run.lock"):
        pass
    assert precious.read_text() == "kept"


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> int:
        raise AssertionError("something was opened for writing")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    before = tmp_path.stat().st_mtime_ns
    RunDirectory(tmp_path / "run").check(STUDY, write=False)
    assert tmp_path.stat().st_mtime_ns == before
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    for directory in ("/proc/self/run", "/sys/run"):
        with pytest.raises(UserError):
            RunDirectory(directory).check(STUDY)
    (tmp_path / "file").write_text("")
    for write in (True, False):
        with pytest.raises(UserError, match="is a file: expected a directory"):
            RunDirectory(tmp_path / "file" / "run").check(STUDY, write=write)


def special(kind: str, path: Path) -> None:
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "a directory":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
        except PermissionError:
            pytest.skip("device nodes need root")


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device", "a directory"])
def test_what_is_no_regular_file_is_never_replaced(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    path = Path("output.csv")
    special(kind, path)
    before = path.lstat()
    with pytest.raises(UserError, match=f"'output.csv' is {kind}: expected"):
        write_atomically(path, lambda temporary: temporary.write_text("new"))
    if kind != "a directory":
        for write in (True, False):
            with pytest.raises(UserError, match=f"is {kind}: expected a directory"):
                RunDirectory(path).check(STUDY, write=write)
    done = aelle("spectrum", "nothing.pt2", "--output", str(path))
    assert done.returncode == 2
    assert f"'output.csv' is {kind}: expected" in done.stderr
    assert path.lstat().st_mode == before.st_mode
    assert [left.name for left in tmp_path.iterdir()] == ["output.csv"]
