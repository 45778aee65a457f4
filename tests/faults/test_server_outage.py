"""The Prefect server killed in the middle of a sweep: away for a while, and for good."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aelle_core.study import RunDirectory, get_preset
from fault_injection.command import Command, fragments, until_gone
from fault_injection.prefect_server import OutsideServer
from fault_injection.rows import differences, undisturbed
from tests.faults.test_signals import flow_run_states

pytestmark = pytest.mark.timeout(1500)
EPOCHS = 60
SWEEP = ["digits", "--cells", "lem,rnn", "--units", "6", "--networks", "6", "--epochs", str(EPOCHS), "--way", "packed"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OutsideServer]:
    """A server that the command did not start."""
    running = OutsideServer(tmp_path / "home")
    yield running
    running.kill()


def test_a_sweep_goes_on_without_its_server_and_completes_when_that_is_back(
    server: OutsideServer, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    environment = server.environment | {"AELLE_OUTAGE_SECONDS": "240"}  # for its start on a slow machine
    command = Command("sweep", *SWEEP, "-o", str(run), environment=environment, log=tmp_path / "log")
    try:
        command.until(lambda: fragments(run) >= 4, 600, "training")
        server.kill()
        before = fragments(run)
        command.until(lambda: fragments(run) >= before + 2, 600, "going on")  # nobody waits for the server
        server.start()
        assert command.wait(600) == 0, command.output
        assert until_gone(command, 30) == []
    finally:
        command.kill()
    assert flow_run_states(tmp_path / "home") == {("AeLLE sweep", "COMPLETED")}
    study = get_preset("digits").replace(cells=["lem", "rnn"], units=[6], networks=6, epochs=EPOCHS)
    assert differences(RunDirectory(run).store.read(), undisturbed(study, tmp_path / "alone")) == []


def test_a_command_ends_in_words_when_its_server_stays_away(server: OutsideServer, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["sweep", *SWEEP, "--epochs", "10000", "-o", str(run)]
    environment = server.environment | {"AELLE_OUTAGE_SECONDS": "30"}
    command = Command(*arguments, environment=environment, log=tmp_path / "log")
    try:
        command.until(lambda: fragments(run) >= 4, 600, "training")
        server.kill()
        started = time.monotonic()
        assert command.wait(300) == 1, command.output
        assert time.monotonic() - started >= 30  # without patience it would be over in 25
        assert until_gone(command, 30) == []
    finally:
        command.kill()
    last = command.output.strip().splitlines()[-1]
    assert last.startswith(f"aelle: the Prefect server at {server.url} has not answered for 30 s: what")
    assert "Traceback" not in command.output
    assert RunDirectory(run).store.read().num_rows >= 4 * 6
