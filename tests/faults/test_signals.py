"""Ctrl-C, SIGTERM and kill -9 of a command whose packs train: it ends, nothing of it is left, and nothing is lost."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_injection.command import Command, fragments, until_gone

pytestmark = pytest.mark.timeout(1500)
FAR_FROM_DONE = [
    "digits",
    "--cells",
    "lem,rnn",
    "--units",
    "6",
    "--networks",
    "6",
    "--epochs",
    "5000",
    "--way",
    "packed",
]


def flow_run_states(home: Path) -> set[tuple[str, str]]:
    """Flow runs and their states in the database of a home."""
    with sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True) as database:
        return set(
            database.execute(
                "select flow.name, flow_run.state_type from flow_run join flow on flow.id = flow_run.flow_id"
            )
        )


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Command]:
    """`aelle study` under its own Prefect server and Ray cluster, in the middle of training."""
    environment = {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_API_URL": ""}
    command = Command(
        "study", *FAR_FROM_DONE, "-o", str(tmp_path / "run"), environment=environment, log=tmp_path / "log"
    )
    try:
        command.until(lambda: fragments(tmp_path / "run") >= 6, 600, "training")
        yield command
    finally:
        command.kill()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_an_interrupted_command_ends_with_all_that_it_started(
    training: Command, tmp_path: Path, name: str, code: int
) -> None:
    titles = " ".join(process.name() for process in training.processes())
    assert "raylet" in titles
    assert "gcs_server" in titles
    if name == "SIGINT":  # as a terminal does it: to the whole process group
        os.killpg(training.process.pid, signal.SIGINT)
    else:
        training.process.send_signal(signal.SIGTERM)
    assert training.wait(90) == code
    assert until_gone(training, 30) == []
    last = training.output.strip().splitlines()[-1]
    assert last.startswith("aelle: interrupted: what was finished is kept in")
    assert "Traceback" not in training.output
    assert flow_run_states(tmp_path / "home") == {("AeLLE study", "CRASHED")}
