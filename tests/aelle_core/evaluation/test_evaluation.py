"""Splits, classifiers, metrics and intervals."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr, t
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import (
    NetworkExamples,
    Shares,
    all_networks,
    classifiers,
    evaluate_split,
    good_fraction_by_cell,
    measurements_from_table,
    measurements_table,
    median_threshold,
    splits_by_network,
    summarise,
    verdicts,
)
from aelle_core.evaluation.metrics import COMPARED, METRICS, Measurement, measured, rank_correlation_within_cells
from aelle_core.evaluation.summary import corrected_interval
from aelle_core.evaluation.tables.material import Material


def made(epoch: int = 0, count: int = 150) -> NetworkExamples:
    """Networks of three cells whose loss is set by their spectrum's slope, not by their cell or scale."""
    random = np.random.default_rng(5)
    slope = random.standard_normal(count)
    spectra = -np.outer(slope + 3, np.linspace(0, 1, 12)) + 0.05 * random.standard_normal((count, 12))
    spectra[0, -1] = -np.inf
    loss = np.exp(0.4 * slope + 0.05 * random.standard_normal(count))
    return NetworkExamples(
        spectra=spectra,
        loss=random.uniform(1, 2, count) if epoch == 0 else loss,
        final_loss=loss,
        accuracy=1 / (1 + loss),
        cells=np.array(["a", "b", "c"])[np.arange(count) % 3],
        units=np.array([16, 32])[np.arange(count) % 2],
        hyperparameters={"scale": random.uniform(0.1, 1, count), "step": np.full(count, np.nan)},
        networks=np.array([f"n{index:03d}" for index in range(count)]),
        epoch=epoch,
    )


EXAMPLES = {0: made(0), 1: made(1)}
THRESHOLD = median_threshold(EXAMPLES[0].final_loss)
SPLIT = splits_by_network(EXAMPLES[1], 1, seed=0, shares=Shares(0.7, 0.1, 0.2))[0]


@pytest.fixture(scope="module")
def aelle() -> AeLLE:
    train = EXAMPLES[1].of(SPLIT.train)
    return AeLLE(steps=20, random_state=0).fit(train.spectra, train.final_loss)


def test_splits_are_by_network_seeded_and_in_share() -> None:
    splits = splits_by_network(EXAMPLES[0], 12, seed=3, shares=Shares(0.7, 0.1, 0.2))
    assert splits == splits_by_network(EXAMPLES[0], 12, seed=3, shares=Shares(0.7, 0.1, 0.2))
    assert len({split.test for split in splits}) == 12
    for split in splits:
        assert not split.train & split.test
        assert not split.train & split.validation
        assert not split.validation & split.test
        assert (len(split.train), len(split.validation), len(split.test)) == (105, 15, 30)
        assert [int((EXAMPLES[0].of(split.test).cells == cell).sum()) for cell in "abc"] == [10, 10, 10]


@pytest.mark.parametrize("name", list(classifiers))
def test_every_classifier_learns_without_looking_at_the_test_outcomes(name: str, aelle: AeLLE) -> None:
    train, validation, test = (EXAMPLES[1].of(part) for part in (SPLIT.train, SPLIT.validation, SPLIT.test))
    entry = classifiers[name]
    assert entry.kind in ("spectrum", "baseline")
    assert entry.description
    classifier = entry(aelle, 0)
    classifier.fit(train, validation, THRESHOLD)
    score, predicted = classifier.score(test), classifier.predict(test)
    assert score.shape == predicted.shape == (len(test),)
    assert predicted.dtype == bool
    assert np.isfinite(score).all()
    blind = dataclasses.replace(test, final_loss=test.final_loss[::-1].copy(), accuracy=test.accuracy[::-1].copy())
    np.testing.assert_array_equal(classifier.predict(blind), predicted)
    if entry.kind == "spectrum" and name.removesuffix(", median") not in ("LE max", "LE PC1"):
        assert (predicted == (test.final_loss < THRESHOLD)).mean() > 0.75


@pytest.mark.parametrize("name", list(classifiers))
def test_validation_networks_choose_cuts_and_teach_nothing(name: str, aelle: AeLLE) -> None:
    train, validation, test = (EXAMPLES[1].of(part) for part in (SPLIT.train, SPLIT.validation, SPLIT.test))
    scores = []
    for outcomes in (validation.final_loss, validation.final_loss[::-1].copy()):
        classifier = classifiers[name](aelle, seed=0)
        classifier.fit(train, dataclasses.replace(validation, final_loss=outcomes), THRESHOLD)
        scores.append(classifier.score(test))
    np.testing.assert_array_equal(*scores)


def test_networks_that_diverged_are_split_and_judged_with_the_others() -> None:
    worst = EXAMPLES[0].final_loss.max()
    lost = np.arange(150) % 5 == 0
    early = dataclasses.replace(EXAMPLES[0], final_loss=np.where(lost, worst, EXAMPLES[0].final_loss))
    examples = {0: early, 1: EXAMPLES[1].select(~lost)}
    everyone = all_networks(examples)
    assert sorted(everyone.networks) == sorted(early.networks)
    assert (everyone.of(frozenset(early.networks[lost])).final_loss == worst).all()
    whole = Material("digits", {"hidden": examples}, THRESHOLD, 3, aelle_parameters={"steps": 5})
    for split in whole.drawn(whole.protocol.early):
        assert len(split.train | split.validation | split.test) == 150
    early_tested = {measurement.test_networks for measurement in whole.early if measurement.epoch == 0}
    assert early_tested == {90}


def test_measurements_and_verdicts() -> None:
    splits = splits_by_network(EXAMPLES[1], 3, seed=0, shares=Shares(0.7, 0.1, 0.2))
    measurements = []
    for split in splits:
        measurements += evaluate_split(EXAMPLES, split, threshold=THRESHOLD, aelle_parameters={"steps": 5}, seed=0)
    assert len(measurements) == 3 * 2 * len(classifiers)
    again = measurements_from_table(measurements_table(measurements))
    assert [dataclasses.astuple(measurement)[:6] for measurement in again] == [
        dataclasses.astuple(measurement)[:6] for measurement in measurements
    ]
    summaries = summarise(measurements)
    f1 = {(summary.classifier, summary.epoch): summary for summary in summaries if summary.metric == "f1"}
    assert f1["linear on raw", 0].mean > 0.8 > f1["cell alone", 0].mean
    assert all(0 <= summary.low <= summary.mean <= summary.high <= 1 for summary in f1.values())
    sentences = verdicts(measurements, 1)
    assert sentences[0].startswith("From the spectrum alone")
    assert sentences[1].startswith("Use the spectrum before any training")
    assert "current loss (F1" not in sentences[2]
    assert "the outcome itself" in sentences[3]
    assert len(verdicts(measurements, 1, goal="climate")) == 3  # the loss is no outcome there, and takes part


def test_every_metric_is_of_a_measurement_and_has_a_name_of_its_own() -> None:
    fields = {field.name for field in dataclasses.fields(Measurement)}
    assert set(COMPARED) < set(METRICS) < fields
    assert len(set(METRICS.values())) == len(METRICS)


def test_interval_is_nadeau_and_bengios() -> None:
    values = np.array([0.7, 0.8, 0.9, 0.8])
    mean, low, high = corrected_interval(values, 0.25)
    half = t.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.25) * (0.02 / 3))
    assert (mean, low, high) == pytest.approx((0.8, 0.8 - half, 0.8 + half))


def test_rank_correlation_looks_within_cells_only() -> None:
    cells = np.repeat(["a", "b"], 4)
    losses = np.array([1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 14.0])
    assert rank_correlation_within_cells(-losses, losses, cells) == pytest.approx(1.0)
    between = np.where(cells == "a", 1.0, 0.0)  # tells the cells apart and nothing else
    assert np.isnan(rank_correlation_within_cells(between, losses, cells))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_metrics_are_scikit_learns_and_scipys() -> None:
    draw = np.random.default_rng(0)
    cells = np.array(["one"])
    for share in (0.0, 0.1, 0.5, 1.0):
        for called in (0.0, 0.3, 0.5, 1.0):
            good, predicted = draw.random(41) < share, draw.random(41) < called
            scores, loss = draw.integers(0, 9, 41).astype(float), draw.random(41).round(1)
            metrics = measured(good, predicted, scores, loss, cells.repeat(41))
            expected = precision_recall_fscore_support(good, predicted, average="binary", zero_division=0)[:3]
            assert [metrics[name] for name in ("precision", "recall", "f1")] == [
                pytest.approx(number) for number in expected
            ]
            if 0 < good.sum() < 41:
                assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(good, predicted))
            else:
                assert np.isnan(metrics["balanced_accuracy"])
            assert metrics["rank_correlation"] == pytest.approx(spearmanr(scores, -loss).statistic)


def test_share_of_good_networks() -> None:
    shares = good_fraction_by_cell(EXAMPLES[0], THRESHOLD)
    assert list(shares) == ["a", "b", "c"]
    assert np.mean(list(shares.values())) == pytest.approx(0.5)
