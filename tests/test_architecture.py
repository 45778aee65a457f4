"""Who may import whom (the direction data flows), and quick answers from the command line."""

import ast
import subprocess
import sys
import time
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.command import aelle

ROOMS = (
    "foundation",
    "files",
    "store",
    "cells",
    "systems",
    "tasks",
    "lyapunov",
    "training",
    "pretrained",
    "aelle",
    "evaluation",
    "screening",
    "study",
    "report",
    "loading",
    "analysis",
    "integrations",
    "testing",
    "cli",
)
"""The rooms of aelle_core, lowest first: a room imports itself and rooms before it, never one after it."""

FORBIDDEN = {"prefect", "ray", "flows", "deployments"}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(source: str, modules: Collection[str] = ()) -> set[str]:
    """The modules that a source imports, in functions too; what is only for type checkers does not count."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules)
            names |= inside or {node.module}
        waiting += [child for child in ast.iter_child_nodes(node) if not is_type_checking(node)]
    return names


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.fixture(scope="module")
def graph(repository: Path) -> dict[str, set[str]]:
    """Every module of the project -> the modules of the project that it imports."""
    paths = [path for top in ("aelle_core", "flows", "benchmarks") for path in (repository / top).rglob("*.py")]
    sources = {module_name(path.relative_to(repository)): path.read_text() for path in paths}
    return {name: imported(source, sources) & set(sources) for name, source in sources.items()}


def test_core_knows_neither_prefect_nor_ray_nor_flows(repository: Path) -> None:
    for path in (repository / "aelle_core").rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path.read_text())}
        allowed = {"ray"} if path.parts[-2:] == ("integrations", "ray_tune.py") else set()
        assert not roots & FORBIDDEN - allowed, path


def test_no_loose_module_stands_at_the_top_of_the_core(repository: Path) -> None:
    assert [path.name for path in (repository / "aelle_core").glob("*.py")] == ["__init__.py"]


def test_imports_run_down_the_list_of_rooms_in_every_module(graph: dict[str, set[str]]) -> None:
    for name, imports in graph.items():
        top, *rest = name.split(".")
        if top != "aelle_core" or not rest:
            continue
        assert rest[0] in ROOMS, f"{name}: expected a room of the list"
        for other in imports:
            other_top, *other_rest = other.split(".")
            if other_top == "aelle_core" and other_rest:
                assert ROOMS.index(other_rest[0]) <= ROOMS.index(rest[0]), f"{name} imports {other}, a room above it"


def test_flows_do_not_import_benchmarks_and_nothing_imports_itself_in_a_circle(graph: dict[str, set[str]]) -> None:
    for name, imports in graph.items():
        if name.startswith("flows"):
            assert not [other for other in imports if other.startswith("benchmarks")], name
    TopologicalSorter({name: imports - {name} for name, imports in graph.items()}).prepare()  # raises CycleError


def test_arrays_in_arrays_out(repository: Path) -> None:
    for path in (repository / "aelle_core" / "evaluation").rglob("*.py"):
        assert "torch" not in {name.split(".")[0] for name in imported(path.read_text())}, path


def test_the_rules_would_catch_a_wrong_import() -> None:
    wrong = "def f():\n    from prefect.artifacts import x\n    import ray.util\n"
    assert imported(wrong) == {"prefect.artifacts", "ray.util"}
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ray\n"
    assert imported(typed) == {"typing"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom flows.command.main import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = ('torch', 'prefect', 'ray', 'sklearn', 'pyarrow', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


COMMANDS = [
    "study",
    "sweep",
    "plan",
    "analyse",
    "spectrum",
    "predict",
    "report",
    "presets",
    "paper",
    "serve",
    "recipes",
]


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
