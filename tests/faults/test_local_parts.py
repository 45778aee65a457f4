"""Parts of the local Ray cluster killed in the middle of a sweep: that is the cluster's failure, and no pack's."""

from pathlib import Path

import psutil
import pytest

from aelle_core.study import RunDirectory, get_preset
from fault_injection.command import Command, fragments, until_gone
from fault_injection.local_parts import PARTS, part_of
from fault_injection.rows import differences, undisturbed

pytestmark = pytest.mark.timeout(2400)
EPOCHS = 80
SWEEP = ["digits", "--cells", "lem,rnn", "--units", "6", "--networks", "6", "--epochs", str(EPOCHS), "--way", "packed"]


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_ends_the_command_in_one_sentence_and_the_same_command_goes_on(part: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_API_URL": ""}

    def start(name: str) -> Command:
        return Command("sweep", *SWEEP, "-o", str(run), environment=environment, log=tmp_path / name)

    command = start("first")
    try:
        command.until(lambda: fragments(run) >= 4, 900, "training")
        part_of(psutil.Process(command.process.pid), part).kill()
        assert command.wait(300) == 1, command.output
        assert until_gone(command, 30) == []
    finally:
        command.kill()
    last = command.output.strip().splitlines()[-2:]
    assert last[0].startswith("aelle: the local Ray cluster has died: "), command.output
    assert last[1].startswith("what was finished is kept in"), command.output
    assert "Traceback" not in command.output
    assert RunDirectory(run).quarantine.packs() == []
    if part != PARTS[0]:
        return  # what was stored is the same whatever ended the cluster: once is enough
    again = start("second")
    try:
        assert again.wait(900) == 0, again.output
    finally:
        again.kill()
    study = get_preset("digits").replace(cells=["lem", "rnn"], units=[6], networks=6, epochs=EPOCHS)
    assert differences(RunDirectory(run).store.read(), undisturbed(study, tmp_path / "alone")) == []
