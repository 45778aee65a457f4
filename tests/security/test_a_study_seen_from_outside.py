"""While `aelle study` runs, all that it started listens on loopback only; what it was told in confidence is in nothing
that it wrote."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SECRETS = {
    "PREFECT_API_AUTH_STRING": "aelle:known-prefect-password-1f0c",
    "PREFECT_SERVER_API_AUTH_STRING": "aelle:known-prefect-password-1f0c",
    "RAY_AUTH_TOKEN": "known0ray0token0known0ray0token0known0ray0token0known0ray0token0",
    "AWS_SECRET_ACCESS_KEY": "known-object-store-key-77e1",
}
PARTS = ("gcs_server", "raylet", "ray::", "DashboardAgent", "RuntimeEnvAgent", "flows.processes.server_process")
pytestmark = pytest.mark.timeout(1500)
STUDY = ["--cells", "rnn", "--units", "4", "--networks", "16", "--epochs", "1", "--splits", "2", "--way", "packed"]


@dataclass
class Observed:
    """What was seen of a study: every listener as (process, address, port), and where it wrote."""

    code: int
    output: str
    processes: set[str]
    listeners: set[tuple[str, str, int]]
    written: Path


def look(root: psutil.Process, observed: Observed) -> None:
    """Note the processes below `root` and where each of them listens."""
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            name = " ".join(process.cmdline())
            connections = process.net_connections(kind="inet")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        observed.processes.add(name)
        observed.listeners |= {
            (name, connection.laddr.ip, connection.laddr.port)
            for connection in connections
            if connection.status == psutil.CONN_LISTEN
        }


@pytest.fixture(scope="module")
def observed() -> Iterator[Observed]:
    directory = Path(tempfile.mkdtemp(prefix="aelle-"))  # short: Ray's sockets lie below it
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RAY_"))}
    environment |= SECRETS | {
        "PREFECT_HOME": str(directory / "prefect"),
        "PREFECT_PROFILES_PATH": str(directory / "profiles.toml"),
        "RAY_TMPDIR": str(directory / "ray"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_SERVER_LEVEL": "DEBUG",
    }
    command = [
        sys.executable,
        "-m",
        "flows.command.main",
        "study",
        "digits",
        *STUDY,
        "--output",
        str(directory / "run"),
    ]
    try:
        with (directory / "output").open("wb") as output:
            study = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        seen = Observed(-1, "", set(), set(), directory)
        root = psutil.Process(study.pid)
        deadline = time.monotonic() + 1200
        while study.poll() is None and time.monotonic() < deadline:
            look(root, seen)
            time.sleep(1)
        if study.poll() is None:
            study.kill()
        seen.code, seen.output = study.wait(), (directory / "output").read_text()
        yield seen
    finally:
        shutil.rmtree(directory)


def test_everything_listens_on_loopback_only(observed: Observed) -> None:
    assert observed.code == 0, observed.output
    for part in PARTS:
        assert any(part in name for name in observed.processes), f"{part} was not seen among {observed.processes}"
    for part in ("gcs_server", "raylet", "DashboardAgent", "flows.processes.server_process"):
        assert any(part in name for name, _, _ in observed.listeners), f"{part} was not seen listening"
    open_to_others = {
        (name[:80], address, port)
        for name, address, port in observed.listeners
        if not (address == "::1" or address.removeprefix("::ffff:").startswith("127."))
    }
    assert not open_to_others


def test_secrets_are_in_nothing_that_was_written(observed: Observed) -> None:
    assert observed.code == 0, observed.output
    files = [path for path in observed.written.rglob("*") if path.is_file()]
    # All places were really looked at.
    for name in ("run/report.html", "prefect/prefect.db", "output"):
        assert observed.written / name in files
    assert any("raylet" in path.name for path in files)
    forms = {name: value.encode() for name, value in SECRETS.items()}
    forms |= {f"{name} in base64": base64.b64encode(value) for name, value in list(forms.items())}
    forms["the password alone"] = SECRETS["PREFECT_API_AUTH_STRING"].split(":")[1].encode()
    leaked = {
        (name, str(path.relative_to(observed.written)))
        for path in files
        for name, value in forms.items()
        if value in path.read_bytes()
    }
    assert not leaked
