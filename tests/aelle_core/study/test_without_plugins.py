"""A run whose cell is not installed here: it is opened, listed, analysed and reported; only training needs the cell."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aelle_core.analysis.trained import trained_studies
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, join
from tests.helpers.command import aelle


@pytest.fixture(scope="module")
def run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of a cell that this process does not have."""
    directory = tmp_path_factory.mktemp("plugged") / "run"
    script = repository / "tests" / "helpers" / "arctangent.py"
    command = [sys.executable, "-m", "tests.helpers.plugged_study", str(script), str(directory)]
    subprocess.run(command, cwd=repository, check=True)
    return RunDirectory(directory)


def test_its_settings_say_which_plugins_it_was_made_with(run: RunDirectory, repository: Path) -> None:
    script = repository / "tests" / "helpers" / "arctangent.py"
    expected = {"name": str(script), "sha256": hashlib.sha256(script.read_bytes()).hexdigest()}
    assert run.read_settings()["plugins"] == [expected]


def test_it_is_opened_and_its_rows_are_read(run: RunDirectory) -> None:
    study = run.study()
    assert study.cells == ("arctangent", "rnn")
    assert study.identity == run.read_settings()["identity"]
    rows = run.store.read(epoch="last")
    assert set(rows.column("cell").to_pylist()) == {"arctangent", "rnn"}
    (trained,) = trained_studies(run)
    assert trained.study == study


def test_it_is_analysed_reported_and_shown_beside_the_paper(run: RunDirectory) -> None:
    from aelle_core.analysis.prepare import prepare_joint_analysis
    from aelle_core.analysis.report import draw_report, report_data
    from aelle_core.analysis.saved import fit_aelle, save_analysis

    study, settings = run.study(), {"splits": 2, "seed": 0, "regress": "log"}
    analysis = prepare_joint_analysis(trained_studies(run), splits=2, seed=0)
    aelle_model = fit_aelle(analysis, study, {"target": "log", "random_state": 0})
    from aelle_core.evaluation import evaluate_split

    measured = [
        measurement
        for split in analysis.splits
        for measurement in evaluate_split(
            analysis.examples, split, threshold=analysis.threshold, aelle_parameters={"target": "log"}, seed=0
        )
    ]
    save_analysis(run, measured, aelle_model, settings)
    draw_report(run, report_data(run))
    assert "arctangent" in run.report.read_text()


def test_runs_are_joined_without_the_cell(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "other")
    settings = json.loads(run.settings.read_text())
    study = Study.from_dict(settings["study"] | {"seed": 1}, planned=False)
    other.prepare(study, {}, loss_name="loss")
    together = RunDirectory(tmp_path / "both")
    join([run, other], together)
    assert together.study().networks == 40
    assert together.loss_name() == "loss (nats)"


def test_planning_with_it_names_what_is_missing(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown cell 'arctangent'"):
        run.study().check()
    done = aelle("study", "digits", "--cells", "arctangent", "--output", str(tmp_path / "new"))
    assert done.returncode == 2
    assert "unknown cell 'arctangent'" in done.stderr


def test_a_task_that_is_not_here_does_not_hide_its_run(tmp_path: Path) -> None:
    study = Study.from_dict(Study(name="foreign").to_dict() | {"task": "elsewhere"}, planned=False)
    run = RunDirectory(tmp_path)
    run.prepare(study, {}, loss_name="error (m)")
    assert run.study().task == "elsewhere"
    assert run.loss_name() == "error (m)"
    with pytest.raises(UserError, match="unknown task 'elsewhere'"):
        run.study().check()
