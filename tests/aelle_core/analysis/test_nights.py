"""A series of nights: its studies, their joint analysis, its history, and what counts as drift."""

import math
from pathlib import Path

import numpy as np
import pytest

from aelle_core.analysis.nights.drift import checks, network_summaries
from aelle_core.analysis.nights.history import History
from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.trained import Trained, joint_examples, trained_studies
from aelle_core.evaluation import Summary
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, run_study
from aelle_core.study.nights import Nights, is_trained

SHARED = Study(name="nights", cells=("rnn",), units=(4,), networks=6, pack_size=3, epochs=1, seed=3)
FIRST, SECOND = "2026-11-24", "2026-11-25"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Two nights that were trained, and one that was begun."""
    run = RunDirectory(tmp_path_factory.mktemp("series") / "nightly")
    run.prepare(SHARED, {})
    nights = Nights(run)
    for night in (FIRST, SECOND):
        run_study(nights.study(night), nights.run(night), way="packed")
    nights.run("2026-11-26").prepare(nights.study("2026-11-26"), {})
    return run


def test_every_night_has_networks_of_its_own(series: RunDirectory) -> None:
    nights = Nights(series)
    assert nights.study(FIRST) == Nights(series).study(FIRST)
    assert len({nights.study(night).seed for night in (FIRST, SECOND)} | {SHARED.seed}) == 3
    assert nights.study(FIRST).replace(seed=SHARED.seed) == SHARED
    first, second = (nights.run(night).store.read(epoch="last") for night in (FIRST, SECOND))
    assert not set(first["seed"].to_pylist()) & set(second["seed"].to_pylist())


def test_only_finished_nights_are_analysed(series: RunDirectory) -> None:
    nights = Nights(series)
    assert nights.begun() == [FIRST, SECOND, "2026-11-26"]
    assert nights.finished() == [FIRST, SECOND]
    assert [finished.study.seed for finished in trained_studies(series)] == [
        nights.study(n).seed for n in (FIRST, SECOND)
    ]
    assert not is_trained(nights.run("2026-11-26"))


def test_nights_that_are_known_to_be_finished_are_not_asked_again(
    series: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained_studies(series)
    monkeypatch.setattr("aelle_core.study.nights.is_trained", None)
    studies = trained_studies(series, [FIRST, SECOND])
    assert [(finished.night, finished.study) for finished in studies] == [
        (finished.night, finished.study) for finished in expected
    ]
    assert [finished.night for finished in studies] == [FIRST, SECOND]


@pytest.mark.parametrize("wrong", ["", "2026-13-01", "2026-02-30", "20261125", "../x", "2026-11-25/..", "tonight"])
def test_a_night_is_a_date(series: RunDirectory, wrong: str) -> None:
    with pytest.raises(UserError, match="expected a date such as 2026-11-25"):
        Nights(series).run(wrong)


def test_networks_of_several_nights_are_different_networks(series: RunDirectory) -> None:
    trained = trained_studies(series)
    analysis = prepare_joint_analysis(trained, splits=2, seed=0)
    final = analysis.examples[1]
    assert len(final) == len(set(final.networks)) == 12
    assert sum(analysis.status_counts.values()) == 12
    alone = [joint_examples([finished])[0][1] for finished in trained]
    np.testing.assert_array_equal(final.spectra, np.concatenate([examples.spectra for examples in alone]))
    for leveled, examples in zip(np.split(final.final_loss, 2), alone, strict=True):  # each beside its own night
        np.testing.assert_allclose(leveled / np.median(leveled), examples.final_loss / np.median(examples.final_loss))
        assert np.median(leveled) == pytest.approx(analysis.threshold)


def test_studies_of_another_shape_are_refused(series: RunDirectory) -> None:
    first = trained_studies(series)[0]
    other = Trained(first.store, first.study.replace(epochs=2))
    with pytest.raises(UserError, match="differ in epochs"):
        joint_examples([first, other])


def summary(mean: float, half: float, classifier: str = "AeLLE PC1", metric: str = "f1", epoch: int = 1) -> Summary:
    return Summary(classifier, "spectrum", epoch, metric, mean, mean - half, mean + half)


def test_the_history_keeps_one_set_of_metrics_for_each_night(tmp_path: Path) -> None:
    history = History(RunDirectory(tmp_path))
    assert history.before(SECOND) is None
    history.add(SECOND, 12, [summary(0.7, 0.1)])
    history.add(FIRST, 6, [summary(0.5, 0.1), summary(0.2, 0.1, metric="recall")])
    history.add(SECOND, 12, [summary(0.8, 0.1)])
    assert history.before(SECOND) == FIRST
    assert history.before(FIRST) is None
    assert history.of(SECOND) == [summary(0.8, 0.1)]
    assert history.table()["night"].to_pylist() == [FIRST, FIRST, SECOND]
    assert [path.name for path in tmp_path.iterdir()] == ["history.parquet"]


def test_a_refitted_metric_drifts_out_of_last_night_s_interval() -> None:
    last = [
        summary(0.70, 0.05),
        summary(0.5, 0.05, "LE max"),
        summary(0.9, math.nan, "one split"),
        summary(0, 0, "none"),
    ]
    tonight = [
        summary(0.76, 0.05),
        summary(0.54, 0.05, "LE max"),
        summary(0.1, 0.1, "one split"),
        summary(1, 0, "none"),
    ]
    tonight += [summary(0.1, 0.1, "new"), summary(0.1, 0.1, "LE max", metric="recall")]
    checked = checks(tonight, last, 1)
    assert {check.name: check.drifted for check in checked} == {"f1 of AeLLE PC1": True, "f1 of LE max": False}
    assert "f1 of AeLLE PC1: 0.760 [0.710, 0.810], the night before 0.700 [0.650, 0.750]" in map(str, checked)


def test_a_night_s_own_networks_raise_one_alarm_in_twenty(series: RunDirectory) -> None:
    """Of independent nights of the same kind; and every time when the losses are twice as large."""
    final = joint_examples(trained_studies(series))[0][1]
    generator = np.random.default_rng(0)

    def night(factor: float = 1.0) -> list[Summary]:
        chosen = final.select(np.zeros(40, dtype=int))
        chosen.final_loss[:] = factor * np.exp(generator.normal(scale=0.3, size=40))
        chosen.spectra[:] = generator.normal(size=(40, 1))
        return network_summaries(chosen)

    alarms = [any_of.drifted for _ in range(300) for any_of in checks(night(), night(), 1)]
    assert len(alarms) == 600
    assert 0.02 < np.mean(alarms) < 0.08
    assert all(check.drifted for _ in range(20) for check in checks(night(2.0), night(), 1) if "loss" in check.name)
