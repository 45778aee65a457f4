"""Figures of networks on their own output, from a small forecast study that was really run."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from aelle_core.analysis.prepare import Analysis, prepare_analysis
from aelle_core.analysis.report import shown
from aelle_core.analysis.saved import fit_aelle
from aelle_core.analysis.shown_runs import exponents_of_system, restored, shown_runs
from aelle_core.report import ReportData
from aelle_core.report.data import ShownRuns
from aelle_core.report.figures import figures
from aelle_core.report.page import picture
from aelle_core.study import RunDirectory, Study, cohorts, run_study
from aelle_core.study.free_runs import measured_free_runs
from aelle_core.tasks import get_task

OPTIONS = {"series": 4, "length": 80, "free_steps": 300, "context": 20, "loop_steps": 20, "loop_warmup": 5}
STUDY = Study(
    task="forecast",
    task_options=OPTIONS,
    cells=("esn",),
    units=(16,),
    networks=8,
    pack_size=8,
    epochs=1,
    spectra=("closed_loop",),
    exponents=4,
    spectrum_sequences=2,
    goal="climate",
)
NAMES = ("0_free_runs", "1_spectra_of_good_and_bad", "5_loss_against_free_runs")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("runs") / "free")
    run_study(STUDY, directory, way="packed")
    return directory


@pytest.fixture(scope="module")
def analysis(run: RunDirectory) -> Analysis:
    return prepare_analysis(run.store, STUDY, splits=2, seed=0)


@pytest.fixture(scope="module")
def data(run: RunDirectory, analysis: Analysis) -> ReportData:
    aelle = fit_aelle(analysis, STUDY, {"steps": 5, "random_state": 0})
    report = shown(analysis, STUDY, aelle, [], loss_name=run.loss_name())
    return dataclasses.replace(report, free_runs=shown_runs(run, STUDY, report.final))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_whose_goal_is_a_free_run_has_the_figure(name: str, data: ReportData) -> None:
    assert picture(figures[name], data).png.startswith(b"\x89PNG")
    by_loss = {epoch: dataclasses.replace(examples, goal="loss") for epoch, examples in data.examples_by_epoch.items()}
    loss = dataclasses.replace(data, examples_by_epoch=by_loss)
    assert picture(figures[name], loss).absent == "The study's goal is the loss, not a free run."


def test_the_runs_that_are_shown_are_those_that_were_measured(run: RunDirectory, data: ReportData) -> None:
    """The network is run again from its checkpoint; its climate is the one that was stored when it was trained."""
    assert isinstance(data.free_runs, ShownRuns)
    assert data.free_runs.good.outcome < data.threshold < data.free_runs.bad.outcome
    held = get_task("forecast", seed=STUDY.seed, options=OPTIONS).held_out
    np.testing.assert_array_equal(data.free_runs.data, held.continuation[0].double().numpy())
    pack = next(iter(cohorts(STUDY))).packs[0]
    trainer = restored(run, STUDY, get_task("forecast", seed=STUDY.seed, options=OPTIONS), pack)
    distances = measured_free_runs(trainer, None)["climate"]
    names = [variant.network for variant in pack.variants]
    whole = trainer.closed_loop().outputs(held.context, held.continuation.shape[1]).numpy()
    for shown_run in (data.free_runs.good, data.free_runs.bad):
        index = names.index(shown_run.network)
        assert distances[index] == pytest.approx(shown_run.outcome, abs=1e-6)
        np.testing.assert_allclose(shown_run.outputs[:50], whole[index, 0, :50], rtol=1e-6, atol=1e-9)


def test_the_systems_exponents_are_in_nats_per_step() -> None:
    """Lorenz-63 at steps of 0.05: .9056 nats per unit of time (Sprott 2003)."""
    assert exponents_of_system(STUDY)[0] == pytest.approx(0.9056 * 0.05)
    others = STUDY.replace(task_options=OPTIONS | {"parameters": {"rho": 30.0}})
    assert exponents_of_system(others) == {}


def test_without_a_checkpoint_the_report_says_so(run: RunDirectory, data: ReportData, tmp_path: Path) -> None:
    said = shown_runs(RunDirectory(tmp_path), STUDY, data.final)
    assert isinstance(said, str)
    assert "no checkpoint" in said
    drawn = picture(figures["0_free_runs"], dataclasses.replace(data, free_runs=said))
    assert drawn.absent == said


def test_outcomes_are_labelled_by_the_goal(data: ReportData) -> None:
    assert data.outcome_name == f"final {data.loss_name}"
    axes = figures["5_loss_against_free_runs"].draw(data).axes[0]
    assert axes.get_ylabel() == data.outcome_name
    assert axes.get_xlabel() == "final validation loss"
