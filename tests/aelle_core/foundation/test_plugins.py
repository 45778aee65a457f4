"""Plug-ins: scripts and modules that are named, entry points of installed packages, and what is said of broken ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study import Study

@registry.register("mine")
class Mine(Preset):
    purpose = "a preset of a script"

    @staticmethod
    def study():
        return Study(name="mine", networks=3)
"""
SHOW = "from aelle_core.study import presets; print('mine' in presets())"


def python(code: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own: what a plug-in registers stays there."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def presets(cwd: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    code = f"import sys; sys.argv = ['aelle', 'presets', *{arguments!r}]; from flows.command.main import main; main()"
    return python(code, cwd, **environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_presets.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.parametrize("name", ["my_presets.py", "my_presets", "./my_presets.py"])
def test_a_script_is_named_by_its_path_or_as_a_module_of_the_current_folder(folder: Path, name: str) -> None:
    assert "a preset of a script" in presets(folder, "--plugin", name).stdout


def test_a_module_is_named_where_python_finds_it(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    assert "a preset of a script" in presets(elsewhere, "--plugin", "my_presets", PYTHONPATH=path).stdout


def test_the_environment_names_plugins_too(folder: Path) -> None:
    (folder / "empty.py").touch()
    done = presets(folder, "--plugin", "empty.py", AELLE_PLUGINS=" my_presets.py ,")
    assert "a preset of a script" in done.stdout


def test_a_script_travels_with_its_text(folder: Path) -> None:
    """As to a worker on another machine, which has no such file."""
    code = (
        "import pickle, os, sys\n"
        "from aelle_core.foundation.plugins import named, use\n"
        "use(['my_presets.py'])\n"
        "sys.stdout.buffer.write(pickle.dumps(named()))\n"
    )
    sent = subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    (folder / "my_presets.py").unlink()
    receive = f"import pickle; from aelle_core.foundation.plugins import adopt; adopt(pickle.loads({sent!r})); {SHOW}"
    assert python(receive, folder).stdout.strip() == "True"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.py", None, "plug-in 'absent.py' is not there: expected the name of a module, or the path of a script"),
        ("absent", None, "plug-in 'absent' cannot be loaded (ModuleNotFoundError: No module named 'absent')"),
        ("folder/absent", None, "plug-in 'folder/absent' is not there: expected the name of a module, or the path"),
        ("broken.py", "import nowhere", "cannot be loaded (ModuleNotFoundError: No module named 'nowhere')"),
        ("broken.py", "def f(:", "cannot be loaded (SyntaxError:"),
        ("json.py", "", "a module 'json' is loaded already; rename the script"),
        ("twice.py", SCRIPT.replace("mine", "digits"), "preset 'digits' is registered twice"),
    ],
)
def test_a_broken_plugin_is_one_sentence(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = presets(tmp_path, "--plugin", name)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An installed package whose entry point is a class."""
    (tmp_path / "acme.py").write_text(SCRIPT.replace('@registry.register("mine")\n', ""))
    metadata = tmp_path / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[aelle.presets]\nmine = acme:Mine\n")
    return tmp_path


def installed(package: Path) -> str:
    return os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))


def test_installed_packages_add_entries_through_entry_points(package: Path) -> None:
    assert "a preset of a script" in presets(package, PYTHONPATH=installed(package)).stdout


def test_a_broken_entry_point_names_its_package(package: Path) -> None:
    (package / "acme.py").write_text("import nowhere\n")
    done = presets(package, PYTHONPATH=installed(package))
    assert done.returncode == 2
    assert "plug-in 'mine' of acme 1.0 cannot be loaded (ModuleNotFoundError: No module named 'nowhere')" in done.stderr


def test_an_entry_point_does_not_take_a_name_that_is_taken(package: Path) -> None:
    (package / "acme-1.0.dist-info" / "entry_points.txt").write_text("[aelle.presets]\ndigits = acme:Mine\n")
    done = presets(package, PYTHONPATH=installed(package))
    assert done.returncode == 2
    assert "preset 'digits' of acme:Mine is there already" in done.stderr
