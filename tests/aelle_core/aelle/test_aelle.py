"""The estimator: scikit-learn's own checks, a known latent factor, agreement of refits, intervals, distance, saving."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from aelle_core.aelle import AeLLE, beside
from aelle_core.foundation.errors import UserError

CHECKED = [AeLLE(steps=2, random_state=0), AeLLE.as_published(steps=2, random_state=0)]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_logarithm_is_said_to_need_positive_losses() -> None:
    assert [AeLLE(target=target).__sklearn_tags__().target_tags.positive_only for target in ("log", "rank")] == [
        True, False,
    ]  # fmt: skip


def made(count: int = 240, size: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Spectra in which a factor that sets the loss hides under one that is larger and means nothing."""
    random = np.random.default_rng(seed)
    matters, nuisance = random.standard_normal(count), 4 * random.standard_normal(count)
    index = np.linspace(0, 1, size)
    spectra = -3 * index + np.outer(matters, np.sin(6 * index)) + np.outer(nuisance, index)
    return spectra + 0.05 * random.standard_normal(spectra.shape), np.exp(0.5 * matters)


def test_first_component_finds_what_sets_the_loss() -> None:
    spectra, losses = made()
    model = AeLLE(random_state=0).fit(spectra[:180], losses[:180])
    test, outcome = spectra[180:], losses[180:]
    assert spearmanr(model.transform(test)[:, 0], outcome).statistic > 0.9
    assert model.score(test, outcome) > 0.9
    assert f1_score(outcome < np.median(losses), model.predict_high_accuracy(test)) > 0.8
    assert np.abs(model.decode(model.encode(test)) - test).mean() < test.std()


def test_the_first_component_is_the_prediction_because_its_weights_decay() -> None:
    spectra, losses = made()
    model = AeLLE(random_state=0).fit(spectra, losses)
    assert spearmanr(model.transform(spectra)[:, 0], model.predict(spectra)).statistic > 0.98


def test_refits_with_other_seeds_agree() -> None:
    spectra, losses = made(seed=3)
    first_components = [AeLLE(random_state=seed).fit(spectra, losses).transform(spectra)[:, 0] for seed in (0, 1)]
    assert spearmanr(*first_components).statistic > 0.98


@pytest.mark.parametrize("target", ["rank", "log"])
def test_one_diverged_network_does_not_rule_the_fit(target: Any) -> None:
    spectra, losses = made()
    losses[3] = 1e9
    model = AeLLE(target=target, random_state=0).fit(spectra[:180], losses[:180])
    assert spearmanr(model.predict(spectra[180:]), losses[180:]).statistic > 0.8


def test_the_papers_own_settings_find_the_factor_too() -> None:
    spectra, losses = made()
    model = AeLLE.as_published(random_state=0).fit(spectra[:180], losses[:180])
    assert (model.members, model.target, model.steps_) == (1, "loss", 500)
    assert model.score(spectra[180:], losses[180:]) > 0.8


def test_an_interval_holds_the_losses_that_it_promises() -> None:
    spectra, losses = made(600, seed=1)
    noisy = losses * np.exp(0.3 * np.random.default_rng(5).standard_normal(len(losses)))
    model = AeLLE(steps=120, random_state=0).fit(spectra[:300], noisy[:300])
    for level, least, most in ((0.9, 0.82, 0.97), (0.5, 0.38, 0.64)):
        predicted, low, high = model.predict(spectra[300:], return_interval=True, level=level)
        assert (low <= predicted).all() and (predicted <= high).all()
        assert least < ((low <= noisy[300:]) & (noisy[300:] <= high)).mean() < most
    with pytest.raises(UserError, match=r"level=1\.5"):
        model.predict(spectra, return_interval=True, level=1.5)
    with pytest.raises(UserError, match="held out nothing"):
        AeLLE(steps=3).fit(spectra[:10], losses[:10]).predict(spectra, return_interval=True)


def test_a_spectrum_unlike_all_that_was_fitted_is_reported() -> None:
    spectra, losses = made(300)
    model = AeLLE(steps=30, random_state=0).fit(spectra[:200], losses[:200])
    assert (model.distance(spectra[200:]) > 1).mean() < 0.15
    strange = -(np.linspace(0, 1, 24)[None] ** 0.1) * 30
    assert model.distance(strange)[0] > 1
    _, low, high = model.predict(strange, return_interval=True)
    assert (low[0], high[0]) == (losses[:200].min(), losses[:200].max())


def test_what_is_known_beside_the_spectrum_is_used() -> None:
    spectra, losses = made(300)
    rates = np.exp(np.random.default_rng(2).uniform(-3, 3, len(losses)))
    losses = losses * rates
    plain = AeLLE(random_state=0).fit(spectra[:200], losses[:200])
    X = beside(spectra, learning_rate=rates, epoch=0)
    model = AeLLE(known=("learning_rate", "epoch"), random_state=0).fit(X[:200], losses[:200])
    assert model.score(X[200:], losses[200:]) > plain.score(spectra[200:], losses[200:]) + 0.2
    with pytest.raises(UserError, match="learning_rate goes down to -1"):
        beside(spectra, learning_rate=-rates / rates.max())
    with pytest.raises(UserError, match="expected a spectrum before them"):
        AeLLE(known=("a", "b")).fit(spectra[:, :2], losses)


def test_pandas_and_lists_with_dead_directions_are_taken_and_given() -> None:
    spectra, losses = made(60)
    dead, floored = spectra.copy(), spectra.copy()
    dead[:, -2:], floored[:, -2:] = -np.inf, AeLLE().floor
    first = AeLLE(steps=3, random_state=0).fit(dead, losses)
    expected = first.transform(floored)
    names = [f"exponent {number}" for number in range(24)]
    frame = pd.DataFrame(dead, columns=names)
    second = AeLLE(steps=3, random_state=0).set_output(transform="pandas").fit(frame, pd.Series(losses))
    given = second.transform(frame)
    assert list(given.columns) == list(second.get_feature_names_out()) == ["aelle0", "aelle1"]
    np.testing.assert_allclose(given.to_numpy(), expected, rtol=1e-9)
    listed = AeLLE(steps=3, random_state=0).fit(dead.tolist(), losses)
    np.testing.assert_allclose(listed.transform(dead.tolist()), expected, rtol=1e-9)
    mixed = [row[::2] if number % 2 else row for number, row in enumerate(spectra)]
    assert AeLLE(steps=3, random_state=0).fit(mixed, losses).n_features_in_ == spectra.shape[1]
    assert len(cross_val_score(AeLLE(steps=3, random_state=0), dead, losses, cv=3)) == 3


@pytest.mark.parametrize("kind", ["lists", "objects", "arrow", "pandas", "tensor", "tensors"])
def test_spectra_are_taken_as_stores_and_frames_hold_them(kind: str) -> None:
    spectra, losses = made(30)
    spectra[::5, -2:] = -np.inf
    column = pa.table({"spectrum_hidden": spectra.tolist()})["spectrum_hidden"]
    given = {
        "lists": column.to_pylist(),
        "objects": column.to_numpy(),
        "arrow": column,
        "pandas": column.to_pandas(),
        "tensor": torch.from_numpy(spectra),
        "tensors": [torch.from_numpy(spectrum) for spectrum in spectra],
    }
    expected = AeLLE(steps=2, random_state=0).fit(spectra, losses).predict(spectra)
    np.testing.assert_array_equal(
        AeLLE(steps=2, random_state=0).fit(given[kind], losses).predict(given[kind]), expected
    )


def test_one_short_spectrum_is_read_as_beside_others() -> None:
    spectra, losses = made(30)
    model = AeLLE(steps=2, random_state=0).fit(spectra, losses)
    short = spectra[0, ::2]
    np.testing.assert_array_equal(model.predict([short]), model.predict([short, spectra[1]])[:1])


def test_saved_and_loaded_models_are_equal(tmp_path: Any) -> None:
    spectra, losses = made(60)
    spectra[0, -3:] = -np.inf
    for model in (AeLLE(steps=5, random_state=1, floor=-7.5), AeLLE.as_published(steps=5, random_state=1)):
        model.fit(spectra, losses)
        loaded = AeLLE.load(model.save(tmp_path / "model.safetensors"))
        assert loaded.get_params() == model.get_params()
        for method in ("transform", "encode", "predict", "predict_high_accuracy"):
            result, expected = getattr(loaded, method)(spectra), getattr(model, method)(spectra)
            np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(loaded.distance(spectra), model.distance(spectra), atol=1e-5)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.safetensors' cannot be read"):
        AeLLE.load(tmp_path / "broken.safetensors")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_input_is_refused(bad: float) -> None:
    spectra, losses = made(30)
    spectra[2, 2] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        AeLLE(steps=1).fit(spectra, losses)
    with pytest.raises(UserError, match="expects them positive"):
        AeLLE(steps=1, target="log").fit(made(30)[0], losses - 5)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"latent_size": 0}, r"latent_size=0: expected a whole number above 0"),
        ({"alphas": 200.0}, r"alphas=200\.0: expected a sequence"),
        ({"alphas": (1.0, -1.0)}, r"alphas=\(1\.0, -1\.0\): expected numbers above 0"),
        ({"validation_fraction": 1.0}, r"validation_fraction=1\.0: expected a share"),
        ({"learning_rate": 1e6}, r"learning_rate=1000000\.0: expected a number above 0"),
        ({"learning_rate": 0.5}, r"weight_decay=20\.0: expected less"),
        ({"steps": ()}, r"steps=\(\): expected a whole number above 0, or several"),
        ({"target": "logarithm"}, r"target='logarithm': expected 'rank', 'log', 'loss'"),
        ({"floor": 1.0}, r"floor=1\.0: expected a finite number below 0"),
        ({"scale": 0}, r"scale=0: expected a number above 0, or None"),
        ({"members": 2.5}, r"members=2\.5: expected a whole number"),
        ({"keep": "first"}, r"keep='first': expected 'last' or 'best'"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_in_one_sentence(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        AeLLE(**parameters).fit(*made(30))


@pytest.mark.parametrize("target", ["rank", "log", "loss"])
def test_predictions_are_finite_whatever_the_learning_rate(target: Any) -> None:
    spectra, losses = made(60)
    model = AeLLE(target=target, learning_rate=0.9, weight_decay=0.0, steps=50, random_state=0).fit(spectra, losses)
    assert np.isfinite(model.predict(100 * spectra)).all()
