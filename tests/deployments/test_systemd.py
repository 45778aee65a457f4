"""The units of docs/operating/install.md: what systemd itself thinks of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import aelle
from tests.helpers.needs import tool


def units(repository: Path) -> list[Path]:
    return sorted((repository / "deployments" / "systemd").glob("*.service"))


def test_the_units_are_clean(repository: Path, tmp_path: Path) -> None:
    checker = tool("systemd-analyze")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "aelle").symlink_to(sys.executable)  # that there is a program of this name; it is not started
    moved = []
    for unit in units(repository):
        text = (
            unit.read_text().replace("/opt/aelle/venv/bin", str(programs)).replace("/opt/aelle/source", str(repository))
        )
        moved.append(tmp_path / unit.name)
        moved[-1].write_text(text)
    assert len(moved) == 3
    done = subprocess.run(
        [checker, "verify", "--man=no", *map(str, moved)], capture_output=True, text=True, check=False
    )
    about_ours = [line for line in done.stderr.splitlines() if "aelle-" in line]
    assert not about_ours
    assert done.returncode == 0, done.stderr


def test_the_unit_of_serve_starts_a_command_that_there_is(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options in the unit are options of `aelle serve`."""
    text = (repository / "deployments" / "systemd" / "aelle-serve.service").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    options = {word for word in line.split() if word.startswith("--")}
    monkeypatch.setenv("COLUMNS", "200")
    helped = aelle("serve", "--help")
    assert helped.returncode == 0
    assert options <= set(helped.stdout.replace("│", " ").split())


def test_the_operations_page_names_files_and_ports_that_there_are(repository: Path) -> None:
    page = (repository / "docs" / "operating" / "install.md").read_text()
    node = (repository / "deployments" / "ray" / "node").read_text()
    for unit in units(repository):
        assert unit.stem in page
    for option in ("--port=6379", "--node-manager-port=6380", "--metrics-export-port=6385", "--min-worker-port=20000"):
        assert option in node
    for ports in ("6379", "6380 to 6385", "20000 to 20999"):
        assert ports in page
