"""What contributors meet: hooks, CI and templates are of the form that their programs take, and name what is there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOW = ROOT / ".github/workflows/test.yml"


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", [WORKFLOW]),
        ("github-issue-config", [path for path in FORMS if path.stem == "config"]),
        ("github-issue-forms", [path for path in FORMS if path.stem != "config"]),
    ],
)
def test_files_of_the_forge_have_their_form(schema: str, files: list[Path]) -> None:
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_commands_of_the_makefile_and_fetches_nothing_by_address() -> None:
    made = {target for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values() for target in _made_by(job)}
    assert {"test", "test-oldest", "test-newest", "lint", "docs"} <= made
    heads = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made <= {target for head in heads for target in head.split()}
    assert "://" not in WORKFLOW.read_text()


def _made_by(job: dict[str, Any]) -> Iterator[str]:
    """Yield the Makefile's targets that a job's steps call, one for each value of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for step in job["steps"]:
        for target in re.findall(r"^make ([\w${}. -]+)", step.get("run", ""), re.MULTILINE):
            name = re.search(r"\$\{\{ matrix\.(\w+) \}\}", target)
            yield from [target] if name is None else [target.replace(name[0], value) for value in matrix[name[1]]]


def test_hooks_are_valid_and_name_files_that_are_there() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (repository,) = yaml.safe_load(path.read_text())["repos"]
    assert repository["repo"] == "local"  # nothing is fetched
    entries = " ".join(hook["entry"] for hook in repository["hooks"])
    for file in re.findall(r"tests/\S+\.py", entries):
        assert (ROOT / file).is_file()
    programs = set(re.findall(r"\.venv/bin/(\w+)", entries))
    assert programs == {"ruff", "codespell", "mypy", "python"}
