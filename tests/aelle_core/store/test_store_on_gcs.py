"""The same store on Google Cloud Storage, as far as an emulator of it goes: no faults in the middle of an upload."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from gcp_storage_emulator.server import create_server

from aelle_core.files.atomic import write_atomically
from aelle_core.files.lock import alone
from aelle_core.files.places import place
from aelle_core.foundation.errors import UserError
from aelle_core.store.compaction import compact
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.study import RunDirectory, Study, run_study
from tests.aelle_core.store.test_store import filled, records

SMALL = Study(name="small", cells=("rnn",), units=(4,), networks=2, epochs=1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
    server.start()
    yield f"127.0.0.1:{server._api._httpd.server_port}"
    server.stop()


def address_of(endpoint: str, prefix: str, bucket: str = "bucket") -> str:
    return f"gs://{bucket}/{prefix}?anonymous=true&endpoint_override={quote(endpoint)}&scheme=http"


def test_a_store_is_the_same_as_in_a_directory(endpoint: str, tmp_path: Path) -> None:
    there, here = filled(address_of(endpoint, "store")), filled(tmp_path)
    assert there.read().equals(here.read())
    assert there.stored("a-1") == here.stored("a-1")
    with alone(there.path, "_compaction.lock"), pytest.raises(StoreError, match="one at a time"):
        compact(there)
    assert compact(there).after == 3
    there.write(records(0, 0, validation_loss=99.0))
    assert SpectraStore(there.path).read(epoch="last").equals(here.read(epoch="last"))
    assert there.read().equals(here.read())


def test_a_study_and_what_is_lost_under_way(endpoint: str, tmp_path: Path) -> None:
    run, alone_here = RunDirectory(address_of(endpoint, "run")), RunDirectory(tmp_path / "run")
    for directory in (run, alone_here):
        run_study(SMALL, directory, way="packed")
    assert run.store.read().equals(alone_here.store.read())
    run.settings.unlink()
    with pytest.raises(StoreError, match="no study in"):
        _ = run.store
    with pytest.raises(UserError, match="holds other files"):
        run.check(SMALL)


def test_a_failure_while_a_file_is_made_leaves_no_object(endpoint: str) -> None:
    where = place(address_of(endpoint, "failure")) / "checkpoint"

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(where, fail)
    assert not where.exists()
    write_atomically(where, lambda temporary: temporary.write_bytes(b"x" * 2**24))
    assert where.read_bytes() == b"x" * 2**24


def test_a_bucket_that_does_not_exist(endpoint: str) -> None:
    with pytest.raises(UserError, match="expected a bucket that exists"):
        RunDirectory(address_of(endpoint, "run", "nothing-here")).check(SMALL)
