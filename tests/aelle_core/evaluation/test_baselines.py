"""Baselines that know no dynamics, statistics cut at their medians, ridge, and what verdicts say of few splits."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import Measurement, NetworkExamples, classifiers, verdicts
from aelle_core.evaluation.classifiers.gaussian_process import OnColumns, SameCell
from aelle_core.evaluation.summary import corrected_interval
from aelle_core.evaluation.verdicts import gain, gains_in_words


def networks(count: int, seed: int) -> NetworkExamples:
    """Networks of two cells: the best scale of one is the worst of the other; `none` exists in one cell only."""
    random = np.random.default_rng(seed)
    cells = np.where(random.random(count) < 0.5, "a", "b")
    scale = np.exp(random.uniform(-2, 2, count))
    sign = np.where(cells == "a", 1.0, -1.0)
    loss = np.exp(np.tanh(sign * np.log(scale)) + 0.05 * random.standard_normal(count))
    spectra = np.sort(-np.abs(random.standard_normal((count, 6))) - loss[:, None], axis=1)[:, ::-1]
    return NetworkExamples(
        spectra=spectra, loss=loss, final_loss=loss, accuracy=np.zeros(count), cells=cells, units=np.full(count, 8),
        hyperparameters={"scale": scale, "none": np.where(cells == "a", scale, np.nan), "fixed": np.ones(count)},
        networks=np.array([f"n{seed}-{number}" for number in range(count)]), epoch=3,
    )  # fmt: skip


TRAIN, TEST = networks(120, 0), networks(200, 1)
THRESHOLD = float(np.median(TRAIN.final_loss))


def accuracy(name: str) -> float:
    """Share of the test networks that a classifier puts on the right side."""
    classifier = classifiers[name](AeLLE(), 0)
    classifier.fit(TRAIN, TRAIN.select(np.arange(0)), THRESHOLD)
    return float((classifier.predict(TEST) == (TEST.final_loss < THRESHOLD)).mean())


def test_the_process_learns_what_differs_from_cell_to_cell() -> None:
    assert accuracy("Gaussian process on hyperparameters") > 0.93
    assert accuracy("Gaussian process with loss") > 0.95
    assert 0.3 < accuracy("mean of the cell") < 0.7


def test_a_cell_never_seen_is_judged_by_what_all_share() -> None:
    process = classifiers["Gaussian process on hyperparameters"](AeLLE(), 0)
    process.fit(TRAIN.select(TRAIN.cells == "a"), TRAIN.select(np.arange(0)), THRESHOLD)
    assert np.isfinite(process.score(TEST)).all()
    assert (process.predict(TEST)[TEST.cells == "a"] == (TEST.final_loss < THRESHOLD)[TEST.cells == "a"]).mean() > 0.9


def test_the_kernels_gradient_is_the_likelihoods() -> None:
    """Against finite differences: a wrong gradient would let the search stop anywhere."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.integers(0, 2, 30), random.standard_normal((30, 2))]).astype(float)
    y = random.standard_normal(30)
    kernel = ConstantKernel(0.5) * OnColumns(SameCell(), (0,)) * OnColumns(RBF([1.0, 2.0]), (1, 2)) + WhiteKernel(0.3)
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(X, y)
    theta = process.kernel_.theta
    _, gradient = process.log_marginal_likelihood(theta, eval_gradient=True)
    for index in range(len(theta)):
        step = np.zeros(len(theta))
        step[index] = 1e-5
        up, down = (process.log_marginal_likelihood(theta + sign * step) for sign in (1, -1))
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-6)


def test_statistics_are_cut_at_their_medians_on_the_side_of_the_better() -> None:
    for name in ("LE mean, median", "LE max, median", "LE PC1, median"):
        classifier = classifiers[name](AeLLE(), 0)
        classifier.fit(TRAIN, TRAIN.select(np.arange(0)), THRESHOLD)
        assert classifier.predict(TRAIN).mean() == pytest.approx(0.5, abs=0.01)
    assert accuracy("LE mean, median") > 0.6
    assert accuracy("ridge on spectrum") > 0.7


def measurement(name: str, kind: str, split: int, f1: float, rank: float | None = None) -> Measurement:
    """One with that F1, and that rank correlation; the same by default."""
    return Measurement(name, kind, 3, split, f1, f1, f1, f1, f1, 80, 20, f1 if rank is None else rank)


def test_few_splits_give_no_interval_and_no_winner() -> None:
    assert np.isnan(corrected_interval(np.array([0.1, 0.9]), 0.25)[1])
    ranks = (("AeLLE predictor", "spectrum"), ("cell alone", "baseline"))
    few = [measurement(name, kind, split, 0.5 + 0.3 * split) for name, kind in ranks for split in (0, 1)]
    gained = gain(few, "AeLLE predictor", "cell alone", 3)
    assert gains_in_words({"f1": gained}, "a", "b") == "Too few splits to tell 'a' and 'b' apart: F1 +0.000."
    assert any(sentence.startswith("Too few splits to judge after the last epoch (3)") for sentence in verdicts(few, 3))


def test_a_difference_stays_in_its_range_and_the_verdict_says_what_to_do() -> None:
    many = [measurement("AeLLE predictor", "spectrum", split, 0.9 + 0.01 * (split % 2)) for split in range(6)]
    many += [measurement("cell alone", "baseline", split, 0.1 * (split % 2)) for split in range(6)]
    _, low, high = gain(many, "AeLLE predictor", "cell alone", 3)
    assert -1 <= low <= high <= 1
    sentences = verdicts(many, 3)
    assert sentences[0].startswith("From the spectrum alone, without the loss, AeLLE is right about 9")
    assert sentences[1].startswith("Use the spectrum after the last epoch (3): it predicts better")


@pytest.mark.parametrize(("rank", "word"), [(0.4, "worse"), (0.9, "better")])
def test_a_verdict_by_f1_says_where_the_ranks_speak_against_it(rank: float, word: str) -> None:
    many = [measurement("AeLLE predictor", "spectrum", split, 0.7 + 0.1 * (split % 2), rank) for split in range(6)]
    many += [measurement("cell alone", "baseline", split, 0.8 - 0.1 * (split % 2), 0.7) for split in range(6)]
    sentence = verdicts(many, 3)[1]
    assert sentence.startswith("The spectrum is as good as what is known without it after the last epoch (3)")
    assert f", but the spectrum ranks networks {word}. The best of each kind: " in sentence
