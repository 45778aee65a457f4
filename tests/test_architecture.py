"""Who may import whom (the direction data flows), and quick answers from the command line."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import aelle

FOUNDATION = {"errors", "registry", "ranges", "streams", "files", "places", "interpolation", "vector_code", "threads"}
ALLOWED = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    "cells": FOUNDATION,
    "tasks": FOUNDATION,
    "lyapunov": FOUNDATION | {"cells"},
    "exported": FOUNDATION,
    "training": FOUNDATION | {"cells", "tasks"},
    "records": FOUNDATION,
    "fragments": FOUNDATION | {"records"},
    "contents": FOUNDATION | {"records", "fragments"},
    "lease": FOUNDATION,
    "store": FOUNDATION | {"records", "fragments", "contents"},
    "compaction": FOUNDATION | {"records", "fragments", "contents", "lease", "store"},
    "autoencoder": FOUNDATION,
    "taken": FOUNDATION,
    "pretrained": FOUNDATION,
    "aelle": FOUNDATION | {"autoencoder", "taken", "pretrained"},
    "evaluation": FOUNDATION | {"aelle"},
    "report": FOUNDATION | {"aelle", "evaluation"},
    "study": FOUNDATION | {"cells", "tasks", "lyapunov", "training", "store"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_core_knows_neither_prefect_nor_ray_nor_flows(repository: Path) -> None:
    for path in (repository / "aelle_core").rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"prefect", "ray", "flows", "deployments"}, path


def test_inside_the_core_imports_run_one_way(repository: Path) -> None:
    core = repository / "aelle_core"
    for path in core.rglob("*.py"):
        room = path.relative_to(core).parts[0].removesuffix(".py")
        if room not in ALLOWED:
            continue  # __init__, cli, weights and analysis stand above all rooms
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "aelle_core" and len(parts) > 1 and parts[1] != room:
                assert parts[1] in ALLOWED[room], f"{path} imports {name}"


def test_arrays_in_arrays_out(repository: Path) -> None:
    for path in (repository / "aelle_core" / "evaluation").rglob("*.py"):
        assert "torch" not in {name.split(".")[0] for name in imported(path)}, path


def test_the_rules_would_catch_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from prefect.artifacts import x\n    import ray.util\n")
    assert imported(wrong) == {"prefect.artifacts", "ray.util"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom flows.command.main import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = ('torch', 'prefect', 'ray', 'sklearn', 'pyarrow', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


COMMANDS = ["study", "sweep", "plan", "analyse", "spectrum", "predict", "report", "presets", "paper", "serve"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = aelle(command, "--help")
    assert done.returncode == 0
    assert f"aelle {command}" in done.stdout


def test_help_from_the_shell_comes_soon() -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "flows.command.main", "study", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "aelle study" in done.stdout
    assert time.monotonic() - started < 30
