"""What contributors meet: hooks, CI and templates are of the form that their programs take, and name what is there."""

import re
import subprocess
import sys
from pathlib import Path

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
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    run = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    made = {target for line in run for target in re.findall(r"^make ([\w-]+)", line)}
    assert {"test", "lint", "docs"} <= made
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert made <= targets
    assert "://" not in WORKFLOW.read_text()


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
