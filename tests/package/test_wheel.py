"""The wheel works where it is installed: the core alone, and studies from a folder with other packages of our names."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aelle_core import __version__
from tests.helpers.installed import Installed, build_wheel

SPECTRUM = """
import sys
import torch
from aelle_core import lyapunov_spectrum
torch.manual_seed(0)
found = lyapunov_spectrum(torch.nn.GRU(3, 8, batch_first=True), torch.randn(2, 50, 3))
assert len(found.exponents) == 8
print([name for name in ("prefect", "ray", "fastapi", "pydantic_settings", "umap") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(repository, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("core") / "environment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose own packages break whoever imports them."""
    for name in ("flows", "aelle_core", "ray", "prefect", "deployments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the package of the current folder')\n")
    return tmp_path


def test_core_computes_a_spectrum_and_has_none_of_the_extras(core: Installed, folder: Path) -> None:
    for name in ("prefect", "ray", "fastapi", "pydantic_settings", "umap"):
        assert not (core.packages / name).exists()
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [core.python, "-P", "-c", SPECTRUM], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_commands_of_the_core_work_without_extras(core: Installed, folder: Path) -> None:
    assert core.run("--version", cwd=folder).stdout == f"aelle {__version__}\n"
    presets = core.run("presets", cwd=folder)
    assert "digits" in presets.stdout, presets.stderr
    recipes = core.run("recipes", cwd=folder).stdout.strip()
    assert (Path(recipes) / "prefect.yaml").is_file()
    assert Path(recipes).is_relative_to(core.packages)
    paper = core.run("paper", "digits", cwd=folder)
    assert "AeLLE" in paper.stdout, paper.stderr
    plan = core.run("study", "digits", "--networks", "4", "--cells", "rnn", "--dry-run", cwd=folder)
    assert "4 networks in 1 pack," in plan.stdout.replace("\n", " "), plan.stderr


@pytest.mark.parametrize("command", [["study"], ["sweep"], ["analyse", "runs/digits"], ["serve"]])
def test_commands_say_which_extra_they_lack(core: Installed, folder: Path, command: list[str]) -> None:
    done = core.run(*command, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"aelle: `aelle {command[0]}` needs aelle[studies]: pip install 'aelle[studies]'")
    assert "Traceback" not in done.stderr


def test_a_study_with_a_plugin_runs_from_a_folder_with_packages_of_the_same_names(
    wheel: Path, folder: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On Prefect and Ray; its run is read again without the plug-in, and trained further only with it."""
    shutil.copy(repository / "tests" / "helpers" / "arctangent.py", folder / "my_cells.py")
    environment = Installed(wheel, tmp_path_factory.mktemp("studies") / "environment", ["studies"])
    options = ["--cells", "rnn,arctangent", "--units", "4", "--networks", "10", "--epochs", "1", "--splits", "2"]
    options += ["--plugin", "my_cells"]
    done = environment.run("study", "digits", *options, cwd=folder, PREFECT_HOME=str(folder / "home"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the package of the current folder" not in done.stdout + done.stderr
    run = folder / "runs" / "digits"
    assert (run / "report.html").is_file()
    assert json.loads((run / "study.json").read_text())["versions"]["aelle"] == __version__
    assert not list((run / "quarantine").glob("*.json"))
    (run / "report.html").unlink()
    again = environment.run("report", "runs/digits", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "arctangent" in (run / "report.html").read_text()
    refused = environment.run("study", "digits", *options[:-2], cwd=folder)
    assert refused.returncode == 2
    assert "unknown cell 'arctangent'" in refused.stderr
