"""Places: what an address may be, that objects exist whole or not at all, and what is said when they cannot."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aelle_core.files.atomic import local_copy, read_safetensors, write_atomically
from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import files_below, place, resolved
from aelle_core.foundation.errors import UserError
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.study import RunDirectory, Study
from tests.helpers.object_store import ObjectStore

BIG = 21 * 2**20
"""Three parts of an upload."""


def test_paths_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    assert place("runs/digits") == Path("runs/digits")
    assert place("~/runs") == Path("/home/someone/runs")
    assert place("file:///data/a%20b") == Path("/data/a b")
    assert resolved("runs/digits") == str(tmp_path / "runs" / "digits")
    address = "s3://bucket/some/prefix?endpoint_override=localhost%3A9000&scheme=http"
    prefix = place(address)
    assert isinstance(prefix, ObjectPath)
    assert str(prefix) == resolved(address) == address
    assert (prefix.bucket, prefix.key, prefix.name) == ("bucket", "bucket/some/prefix", "prefix")
    below = prefix / "study=a" / "x.parquet"
    assert str(below).startswith("s3://bucket/some/prefix/study=a/x.parquet?")
    assert (below.name, below.stem, below.suffix, below.parent.parent) == ("x.parquet", "x", ".parquet", prefix)
    assert pickle.loads(pickle.dumps(below)) == place(str(below)) == below
    assert str(place("gs://bucket/a b")) == "gs://bucket/a%20b"
    assert place("s3://bucket/") == place("s3://bucket")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://host/run", r"ftp:// is not known: expected a path, file://, s3://, gs://"),
        ("s3://", r"expected s3://bucket/prefix"),
        ("s3://bucket/run#part", r"expected s3://bucket/prefix"),
        ("s3://bucket/run?acl=public", r"unknown options acl: expected some of anonymous, endpoint_override"),
        ("gs://bucket/run?anonymous=1", r"expected anonymous=true"),
        ("file://host/run", r"expected file:///an/absolute/path"),
    ],
)
def test_other_addresses_are_refused(address: str, message: str) -> None:
    for use in (place, RunDirectory, SpectraStore):
        with pytest.raises(UserError, match=message):
            use(address)


@pytest.mark.parametrize(
    "address", ["s3://KEYID:hush-hush@bucket/run", "s3://bucket/run?secret_key=hush-hush", "gs://hush-hush@bucket/run"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UserError, match="expected") as caught:
        place(address)
    assert "hush" not in str(caught.value)
    assert "KEYID" not in str(caught.value)


def test_an_object_is_used_as_a_file_is(object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    root = place(object_store.address(bucket, "run"))
    assert isinstance(root, ObjectPath)
    assert not root.exists()
    assert list(root.iterdir()) == files_below(root) == []
    written = write_atomically(root / "a" / "one.txt", lambda temporary: temporary.write_text("one"))
    write_atomically(root / "two.md", lambda temporary: temporary.write_bytes(b""))
    (root / "a" / "_half").write_bytes(b"hidden")
    assert written.read_text() == "one"
    assert (root.is_dir(), root.is_file(), written.is_file()) == (True, False, True)
    assert sorted(path.name for path in root.iterdir()) == ["a", "two.md"]
    assert [path.name for path in root.glob("*.md")] == ["two.md"]
    assert files_below(root) == [("", ["two.md"]), ("a", ["one.txt"])]
    with local_copy(written) as copy:
        assert copy.read_text() == "one"
    assert not copy.exists()
    written.unlink()
    written.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        written.unlink()
    with pytest.raises(FileNotFoundError):
        written.read_bytes()
    with pytest.raises(UserError, match=r"one\.txt.* is not there: expected a model"):
        read_safetensors(written, "a model")


def test_a_failure_while_a_file_is_made_leaves_no_object(object_store: ObjectStore, bucket: str) -> None:
    where = place(object_store.address(bucket, "run")) / "checkpoint"

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(where, fail)
    assert object_store.keys(bucket) == []


def no_second_part(request: dict[str, Any]) -> tuple[int, str] | None:
    second = request["REQUEST_METHOD"] == "PUT" and "partNumber=2" in request["QUERY_STRING"]
    return (403, "AccessDenied") if second else None


def test_an_upload_that_fails_in_the_middle_leaves_no_object(object_store: ObjectStore, bucket: str) -> None:
    where = place(object_store.address(bucket, "run")) / "checkpoint"
    with object_store.failing(no_second_part), pytest.raises(OSError, match="ACCESS_DENIED"):
        write_atomically(where, lambda temporary: temporary.write_bytes(b"x" * BIG))
    assert not where.exists()
    assert object_store.keys(bucket) == []
    write_atomically(where, lambda temporary: temporary.write_bytes(b"whole"))
    with object_store.failing(no_second_part), pytest.raises(OSError, match="ACCESS_DENIED"):
        write_atomically(where, lambda temporary: temporary.write_bytes(b"y" * BIG))
    assert where.read_bytes() == b"whole"
    write_atomically(where, lambda temporary: temporary.write_bytes(b"y" * BIG))
    assert where.read_bytes() == b"y" * BIG


def test_an_upload_that_is_killed_leaves_no_object(object_store: ObjectStore, bucket: str) -> None:
    where = place(object_store.address(bucket, "run")) / "checkpoint"
    code = (
        "from aelle_core.files.atomic import write_atomically\nfrom aelle_core.files.places import place\n"
        f"write_atomically(place({str(where)!r}), lambda temporary: temporary.write_bytes(b'x' * {BIG}))"
    )
    arrived, killed = [], threading.Event()

    def wait_in_the_second_part(request: dict[str, Any]) -> None:
        if "partNumber=2" in request["QUERY_STRING"]:
            arrived.append(request)
            killed.wait(60)

    with object_store.failing(wait_in_the_second_part):
        writer = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 60
        while not arrived and time.monotonic() < deadline:
            time.sleep(0.02)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        killed.set()
    assert arrived
    assert object_store.keys(bucket) == []
    assert object_store.client().list_multipart_uploads(Bucket=bucket)["Uploads"]


def test_a_bucket_that_does_not_exist(object_store: ObjectStore) -> None:
    address = object_store.address("no-such-bucket", "run")
    for use in (lambda: RunDirectory(address).check(Study()), lambda: SpectraStore(address)):
        with pytest.raises(UserError, match=r"s3://no-such-bucket/run.*NO_SUCH_BUCKET.*expected a bucket that exists"):
            use()


def read_only(request: dict[str, Any]) -> tuple[int, str] | None:
    return None if request["REQUEST_METHOD"] in ("GET", "HEAD") else (403, "AccessDenied")


def test_without_the_right_to_write_nothing_is_begun(object_store: ObjectStore, bucket: str) -> None:
    address = object_store.address(bucket, "run")
    with object_store.failing(read_only):
        for use in (lambda: RunDirectory(address).check(Study()), lambda: SpectraStore(address)):
            with pytest.raises(UserError, match=r"ACCESS_DENIED.*expected credentials in the environment") as caught:
                use()
            assert len(str(caught.value).splitlines()) == 1
            assert "testing" not in str(caught.value)


def test_an_endpoint_that_does_not_answer_is_told_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
    address = f"s3://bucket/run?endpoint_override=127.0.0.1%3A{closed}&region=us-east-1&scheme=http"
    started = time.monotonic()
    with pytest.raises(UserError, match=r"NETWORK_CONNECTION.*expected an endpoint that answers"):
        RunDirectory(address).check(Study())
    with pytest.raises(StoreError, match=r"expected an endpoint that answers"):
        SpectraStore(address)
    with pytest.raises(UserError, match=r"expected an endpoint that answers"):
        RunDirectory(address).read_settings()
    assert time.monotonic() - started < 60


def unsigned(request: dict[str, Any]) -> tuple[int, str] | None:
    return None if "HTTP_AUTHORIZATION" in request else (403, "AccessDenied")


def test_without_credentials_nothing_is_begun(object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    address = object_store.address(bucket, "run")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    with object_store.failing(unsigned):
        done = subprocess.run(
            [sys.executable, "-c", f"from aelle_core.store.dataset import SpectraStore\nSpectraStore({address!r})"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("aelle_core.store.schema.StoreError: 's3://")
    assert last.endswith("expected credentials in the environment that may read and write there")
