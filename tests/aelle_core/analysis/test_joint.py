"""Several studies that differ in their seeds, analysed as one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.report import draw_report, report_data
from aelle_core.analysis.saved import save_analysis
from aelle_core.analysis.trained import joint_examples, trained_studies
from aelle_core.cli.main import app
from aelle_core.evaluation import evaluate_split
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, join, run_study
from aelle_core.study.joint import members
from tests.helpers.joined import joined

SHARED = Study(name="pair", cells=("rnn", "gru"), units=(4,), networks=6, pack_size=3, epochs=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    """Two finished studies of the seeds 0 and 1, the second with more networks."""
    home = tmp_path_factory.mktemp("runs")
    studies = {"zero": SHARED, "one": SHARED.replace(seed=1, networks=7)}
    for name, study in studies.items():
        run_study(study, RunDirectory(home / name), way="packed")
    return [RunDirectory(home / name) for name in studies]


@pytest.fixture(scope="module")
def joint(runs: list[RunDirectory]) -> RunDirectory:
    return joined(runs, "both")


def test_networks_of_both_are_there_once_and_each_on_one_side(runs: list[RunDirectory], joint: RunDirectory) -> None:
    trained = trained_studies(joint)
    assert [(member.study.seed, member.study.networks) for member in trained] == [(0, 6), (1, 7)]
    analysis = prepare_joint_analysis(trained, splits=3, seed=0)
    final = analysis.examples[1]
    assert len(final) == len(set(final.networks)) == joint.study().total_networks == 26
    alone = [joint_examples(trained_studies(run))[0][1] for run in runs]
    assert len(set(alone[0].networks) & set(alone[1].networks)) == 12  # the names that would clash
    by_seed = np.split(final.final_loss, [12])
    for leveled, examples in zip(by_seed, alone, strict=True):  # some seeds' data are harder
        factor = np.median(np.concatenate(by_seed)) / np.median(examples.final_loss)
        np.testing.assert_allclose(leveled, examples.final_loss * factor, rtol=1e-12)
        assert (leveled < analysis.threshold).sum() == pytest.approx(len(leveled) / 2, abs=1)
    for split in analysis.splits:
        assert len(split.train) + len(split.validation) + len(split.test) == 26
        assert {name.split("/")[0] for name in split.train} == {run.study().identity for run in runs}


def test_joining_again_changes_nothing_and_others_are_refused(
    runs: list[RunDirectory], joint: RunDirectory, tmp_path: Path
) -> None:
    before = joint.settings.read_bytes()
    join(runs, joint)
    assert joint.settings.read_bytes() == before
    another = RunDirectory(tmp_path / "another")
    another.prepare(SHARED.replace(seed=2, networks=7), {})
    with pytest.raises(UserError, match=r"both' joins \.\./zero, \.\./one: expected \.\./zero, .*another; name"):
        join([runs[0], another], joint)
    with pytest.raises(UserError, match=r"holds the study pair-joint-.*: expected pair-"):
        joint.check(SHARED)


def test_both_are_found_where_all_of_it_was_moved_to(joint: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(Path(str(joint)).parent, tmp_path / "moved")
    moved = RunDirectory(tmp_path / "moved" / "both")
    assert [str(path) for path in members(moved)] == [str(tmp_path / "moved" / name) for name in ("zero", "one")]
    assert len(joint_examples(trained_studies(moved))[0][1]) == 26


def test_a_joint_run_is_joined_by_its_members(runs: list[RunDirectory], joint: RunDirectory, tmp_path: Path) -> None:
    run_study(SHARED.replace(seed=2), RunDirectory(tmp_path / "two"), way="packed")
    join([joint, RunDirectory(tmp_path / "two")], RunDirectory(tmp_path / "all"))
    assert [member.study.seed for member in trained_studies(RunDirectory(tmp_path / "all"))] == [0, 1, 2]


def test_studies_that_do_not_go_together_are_refused(runs: list[RunDirectory], tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "other")
    other.prepare(SHARED.replace(epochs=2, seed=5), {})
    with pytest.raises(
        UserError, match="differ in epochs: expected them to differ in their seeds, numbers of networks"
    ):
        join([runs[0], other], RunDirectory(tmp_path / "both"))
    same = RunDirectory(tmp_path / "same")
    same.prepare(SHARED.replace(networks=9), {})
    with pytest.raises(UserError, match="studies of the seeds 0, 0: expected each seed once, or networks count twice"):
        join([runs[0], same], RunDirectory(tmp_path / "both"))
    with pytest.raises(UserError, match="no study in"):
        join([runs[0], RunDirectory(tmp_path / "nowhere")], RunDirectory(tmp_path / "both"))
    assert not (tmp_path / "both").exists()


def test_aelle_paper_reads_them_together(runs: list[RunDirectory], tmp_path: Path) -> None:
    together, pages = tmp_path / "both", tmp_path / "pages"
    command = ["paper", *map(str, runs), "--together", str(together), "--splits", "2", "--output", str(pages)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    identity = RunDirectory(together).study().identity
    assert f"{identity}: 26 networks on digits, seeds 0, 1" in done.output
    assert sorted(path.name for path in pages.iterdir()) == [f"{identity}.csv", f"{identity}.md"]
    assert (together / "analysis" / "tables.json").exists()
    alone = CliRunner().invoke(app, ["paper", str(runs[0]), "--together", str(together)])
    assert "--together" in str(alone.exception)
    assert "with 1 runs: expected at least two" in str(alone.exception)


def test_the_report_of_both_names_their_seeds(joint: RunDirectory) -> None:
    analysis = prepare_joint_analysis(trained_studies(joint), splits=2, seed=0)
    measurements = [
        measurement
        for split in analysis.splits
        for measurement in evaluate_split(
            analysis.examples, split, threshold=analysis.threshold, aelle_parameters={"steps": 3}, seed=0
        )
    ]
    final = analysis.examples[1].of(analysis.splits[0].train)
    aelle = AeLLE(steps=20, random_state=0).fit(final.spectra, final.final_loss)
    save_analysis(joint, measurements, aelle, {"splits": 2, "seed": 0, "regress": "log"})
    data = report_data(joint)
    assert data.title == "pair-joint, seeds 0, 1"
    assert data.seeds["study seed"] == [0, 1]
    assert len(data.final) == 26
    page = Path(str(draw_report(joint, data))).read_text()
    assert "aelle analyse" in page
    assert "--together" in page
