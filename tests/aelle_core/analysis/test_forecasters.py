"""Forecasters across systems: every system left out once, good networks judged within their system."""

from pathlib import Path

import numpy as np
import pytest

from aelle_core.analysis import forecasters
from aelle_core.analysis.forecasters import METRICS, ROWS, beside_its_median, left_out, study_of
from aelle_core.analysis.trained import Trained
from aelle_core.study import RunDirectory, run_study
from aelle_core.study.presets.forecasters import SYSTEMS

SMALL = {"series": 4, "length": 120, "window": 20, "context": 30, "free_steps": 60, "loop_steps": 30, "loop_warmup": 5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """Reservoirs alone, which are trained in one solve, on three systems."""
    runs = []
    for system in ("lorenz63", "rossler", "duffing"):
        study = study_of(system, cells=("esn",), units=(8,), networks=10, epochs=1, spectrum_epochs=(1,), exponents=4)
        study = study.replace(task_options=study.task_options | SMALL)
        run = RunDirectory(tmp_path_factory.mktemp(system) / "run")
        run_study(study, run, way="packed")
        runs.append(Trained.of(run))
    return runs


def test_half_of_each_systems_networks_are_good_and_spectra_may_be_measured_by_its_exponent(
    trained: list[Trained],
) -> None:
    for finished in trained:
        plain, scaled = (beside_its_median(finished, over) for over in (False, True))
        assert (plain.final_loss < 1).sum() == 5
        task = forecasters.get_task("forecast", options=finished.study.task_options)
        known = task.system.published  # type: ignore[attr-defined]
        np.testing.assert_allclose(scaled.spectra * known.largest * task.system.interval, plain.spectra)  # type: ignore[attr-defined]


def test_every_system_is_left_out_once(trained: list[Trained]) -> None:
    table = left_out(trained)
    assert table.columns() == ["lorenz63", "rossler", "duffing", "all"]
    assert table.rows() == [(row, metric) for row in ROWS for metric in METRICS]
    for row in ROWS:
        entries = [table.at(row, "f1", system) for system in table.columns()]
        values = [entry.mean for entry in entries if entry is not None]
        assert all(0 <= value <= 1 for value in values)
        assert values[-1] == pytest.approx(np.mean(values[:-1]))


def test_the_command_names_every_system_of_the_preset(tmp_path: Path) -> None:
    assert [study_of(system).task_options["system"] for system in SYSTEMS] == list(SYSTEMS)
    assert len({study_of(system).identity for system in SYSTEMS}) == len(SYSTEMS) == 4
