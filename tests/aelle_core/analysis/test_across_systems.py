"""Forecasters of several systems, analysed as one: each beside its own system, every system left out once."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.across_systems import UNIT, beside_their_systems, largest_exponent
from aelle_core.analysis.kept_tables import tables_of
from aelle_core.analysis.prepare import Analysis, prepare_joint_analysis
from aelle_core.analysis.report import draw_report, report_data
from aelle_core.analysis.saved import save_analysis
from aelle_core.analysis.trained import StoredSpectra, Trained, joint_examples, trained_studies
from aelle_core.evaluation import evaluate_split
from aelle_core.evaluation.metrics import COMPARED
from aelle_core.evaluation.tables.system_left_out import ROWS
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, get_preset, run_study
from aelle_core.study.presets.forecasters import SYSTEMS
from tests.helpers.joined import joined

SMALL = {"series": 4, "length": 120, "window": 20, "context": 30, "free_steps": 60, "loop_steps": 30, "loop_warmup": 5}
CHOSEN = ("lorenz63", "rossler", "duffing")
FAST = {"steps": 60, "members": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    """Reservoirs alone, which are trained in one solve, on three systems."""
    home = tmp_path_factory.mktemp("systems")
    small = get_preset("forecasters").replace(
        cells=("esn",), units=(8,), networks=10, epochs=1, spectrum_epochs=(1,), exponents=4
    )
    for system in CHOSEN:
        run_study(small.replace(task_options=SYSTEMS[system] | SMALL), RunDirectory(home / system), way="packed")
    return [RunDirectory(home / system) for system in CHOSEN]


@pytest.fixture(scope="module")
def joint(runs: list[RunDirectory]) -> RunDirectory:
    return joined(runs, "together")


@pytest.fixture(scope="module")
def analysis(joint: RunDirectory) -> Analysis:
    return prepare_joint_analysis(trained_studies(joint), splits=3, seed=0)


def test_half_of_each_systems_networks_are_good(analysis: Analysis) -> None:
    final = analysis.examples[1]
    systems = np.array([network.split("/")[0] for network in final.networks])
    assert list(dict.fromkeys(systems.tolist())) == list(CHOSEN)
    for system in CHOSEN:
        assert (final.final_loss[systems == system] < 1).sum() == 5
        assert np.median(final.final_loss[systems == system]) == pytest.approx(1)


def test_exponents_are_in_units_of_the_systems_largest(runs: list[RunDirectory], analysis: Analysis) -> None:
    plain = joint_examples(analysis.trained, in_nats=True)[0][1]
    alone = [joint_examples([Trained.of(run)])[0][1] for run in runs]
    np.testing.assert_array_equal(plain.spectra, np.concatenate([examples.spectra for examples in alone]))
    units = np.repeat([largest_exponent(run.study()) for run in runs], 10)
    np.testing.assert_allclose(analysis.examples[1].spectra * units[:, None], plain.spectra)
    # Sprott, Chaos and Time-Series Analysis, 2003: 0.9056 nats per unit of time; a step is 0.05 of them.
    assert units[0] == pytest.approx(0.9056 * 0.05, rel=2e-3)
    assert analysis.unit == UNIT


def test_every_system_is_left_out_once(analysis: Analysis) -> None:
    tables = {table.name: table for table in tables_of(analysis, {"splits": 2, "seed": 0, "regress": "rank"})}
    assert not any(row.startswith("driven") for row, _ in tables["free_runs"].rows())
    table = tables["system_left_out"]
    assert table.columns() == [*CHOSEN, "all"]
    assert table.rows() == [(row, metric) for row in ROWS for metric in COMPARED]
    for row in ROWS:
        values = [entry.mean for entry in (table.at(row, "f1", column) for column in table.columns()) if entry]
        assert all(0 <= value <= 1 for value in values)
        assert values[-1] == pytest.approx(np.mean(values[:-1]))


def test_the_report_names_the_unit_and_no_systems_exponents(joint: RunDirectory, analysis: Analysis) -> None:
    measured = [
        measurement
        for split in analysis.splits
        for measurement in evaluate_split(
            analysis.examples, split, threshold=analysis.threshold, aelle_parameters=FAST, seed=0
        )
    ]
    final = analysis.examples[1]
    aelle = AeLLE(**FAST, random_state=0).fit(final.spectra, final.final_loss)
    settings = {"splits": 3, "seed": 0, "regress": "rank"}
    save_analysis(joint, measured, aelle, settings)
    data = report_data(joint)
    assert data.exponent_unit == UNIT
    assert data.title == "forecasters-joint, of lorenz63, rossler and duffing, seeds 0"
    assert not data.system_exponents
    page = Path(str(draw_report(joint, data))).read_text()
    assert f"Lyapunov exponents ({UNIT.replace(chr(39), '&#39;')}) after the last epoch" in page


def test_what_cannot_be_compared_is_refused(runs: list[RunDirectory]) -> None:
    one, other = (Trained.of(run) for run in runs[:2])
    with pytest.raises(
        UserError, match="studies of the seeds 0 of lorenz63, 0 of rossler, 0 of rossler: expected each"
    ):
        joint_examples([one, other, other])
    different = Trained(other.store, other.study.replace(epochs=3))
    with pytest.raises(
        UserError, match="differ in epochs: expected them to differ in their seeds, numbers of networks"
    ):
        joint_examples([one, different])


@dataclass(frozen=True)
class Known:
    """A store that knows a study by the identity that it was trained under."""

    store: StoredSpectra
    identity: str

    def read(self, *, study: str) -> pa.Table:
        """Return all rows of the study."""
        return self.store.read(study=self.identity)


def test_a_threshold_of_one_system_is_none_of_several(analysis: Analysis) -> None:
    """A climate of 0.3 is no multiple of a median: outcomes beside their systems are cut at their own."""
    judged = [
        Trained(Known(part.store, part.study.identity), part.study.replace(threshold=0.3)) for part in analysis.trained
    ]
    again = prepare_joint_analysis(judged, splits=3, seed=0)
    assert again.threshold == analysis.threshold == pytest.approx(1, abs=0.2)


def test_spectra_of_other_sizes_are_interpolated(analysis: Analysis) -> None:
    studies = [part.study for part in analysis.trained]
    examples = [joint_examples([part])[0] for part in analysis.trained]
    shorter = {1: dataclasses.replace(examples[2][1], spectra=examples[2][1].spectra[:, :3])}
    joined = beside_their_systems(studies, [*examples[:2], shorter])[1]
    assert joined.spectra.shape == (30, 4)
    np.testing.assert_allclose(
        joined.spectra[20:, [0, -1]], shorter[1].spectra[:, [0, -1]] / largest_exponent(studies[2])
    )


def test_other_options_of_the_task_must_agree(runs: list[RunDirectory]) -> None:
    one, other = (Trained.of(run) for run in runs[:2])
    noisy = Trained(other.store, other.study.replace(task_options={**other.study.task_options, "noise": 0.5}))
    with pytest.raises(
        UserError, match="differ in task_options: expected them to differ in their seeds, numbers of net"
    ):
        joint_examples([one, noisy])


def test_a_system_without_a_published_exponent_is_refused() -> None:
    study = get_preset("forecasters").replace(task_options={"system": "rossler", "parameters": {"a": 0.1}})
    with pytest.raises(UserError, match="'rossler' has no published largest exponent: expected one"):
        largest_exponent(study)


def test_every_system_of_the_preset_has_a_largest_exponent() -> None:
    exponents = [largest_exponent(get_preset("forecasters").replace(task_options=SYSTEMS[name])) for name in SYSTEMS]
    assert all(exponent > 0 and math.isfinite(exponent) for exponent in exponents)
