"""The Prefect server of our own: it asks for its password, ends with its parent, and never with another's port."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from aelle_core.foundation.errors import UserError

SECONDS = 240  # generous: a server starts within 15 where nothing else runs
HOLD = """
import time
from flows.processes.server import prefect_server
from prefect.client.orchestration import get_client
with prefect_server() as url:
    with get_client(sync_client=True) as client:
        client.read_flows()
    print(url, flush=True)
    time.sleep(600)
"""


def test_a_server_asks_for_its_password_is_started_again_when_killed_and_ends_with_its_parent(tmp_path: Path) -> None:
    environment = os.environ | {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_API_AUTH_STRING": "somebody:secret"}
    environment.pop("PREFECT_API_URL", None)
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/admin/version", timeout=SECONDS).status_code == 401
        assert httpx.get(f"{url}/admin/version", auth=("somebody", "secret"), timeout=SECONDS).status_code == 200
        (first,) = psutil.Process(parent.pid).children()
        first.kill()
        # Waits for the next server at the same port.
        assert httpx.get(f"{url}/health", timeout=SECONDS).status_code == 200
        (server,) = (child for child in psutil.Process(parent.pid).children() if child != first)
        parent.send_signal(signal.SIGKILL)
    server.wait(timeout=60)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


@pytest.fixture
def no_server_named(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither the environment names a server, nor the settings that Prefect has read before: for another test, or from
    a profile."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


@pytest.mark.usefixtures("no_server_named")
def test_a_port_that_is_in_use_is_refused_at_once() -> None:
    from flows.processes.server import prefect_server

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"host '127.0.0.1', port {port}: nothing can listen there.*in use"),
            prefect_server(port=port),
        ):
            pass


def test_a_named_server_that_does_not_answer_is_refused_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.processes import server

    monkeypatch.setattr(server, "_NAMED_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    started = time.monotonic()
    with pytest.raises(UserError, match="no Prefect server answers there within 1 s"), server.prefect_server():
        pass
    assert time.monotonic() - started < 20


def test_an_outage_is_counted_from_the_first_question_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one, that ended before, does not count; nor does the time before the question, when all was well."""
    from flows.processes import server

    answers = iter([False, True])
    refused: list[float] = []
    over = threading.Event()

    def ask(url: str, seconds: float) -> None:
        if not next(answers, False):
            refused.append(time.monotonic())
            raise UserError("no answer")

    monkeypatch.setattr(server, "_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(server, "_outage_seconds", lambda: 1.0)
    monkeypatch.setattr(server, "await_answer", ask)
    with server.ending_without_server("http://127.0.0.1:1/api", lambda reason: over.set()):
        assert over.wait(60)
        ended = time.monotonic()
    assert ended - refused[1] >= 1.0
