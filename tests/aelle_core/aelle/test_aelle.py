"""The estimator: scikit-learn's own checks, a known latent factor, the kept state, saving."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import f1_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from aelle_core.aelle.autoencoder import Autoencoder, Gradients, train_stages
from aelle_core.aelle.estimator import AeLLE
from aelle_core.foundation.errors import UserError


@parametrize_with_checks([AeLLE(target="loss", epochs=2, random_state=0)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


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
    assert spearmanr(model.predict(test), outcome).statistic > 0.9
    assert f1_score(outcome < np.median(losses), model.predict_high_accuracy(test)) > 0.8
    assert np.abs(model.decode(model.encode(test)) - test).mean() < test.std()


def test_one_diverged_network_does_not_rule_the_logarithm() -> None:
    spectra, losses = made()
    losses[3] = 1e9
    model = AeLLE(random_state=0).fit(spectra[:180], losses[:180])
    assert spearmanr(model.predict(spectra[180:]), losses[180:]).statistic > 0.8


def test_the_best_validation_state_is_kept_as_a_copy() -> None:
    """Trained on, the model leaves the minimum: what is kept must be the minimum, not the last state."""
    generator = torch.Generator().manual_seed(0)
    spectra = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    losses = torch.randn(40, generator=generator, dtype=torch.float64)
    model = Autoencoder(8, 16, generator)
    validation = (spectra[30:], losses[30:])
    history = train_stages(
        model, (spectra[:30], losses[:30]), validation,
        alphas=(1.0, 50.0), epochs=120, learning_rate=5e-3, batch_size=8, generator=generator,
    )  # fmt: skip
    assert history[-1] > 1.05 * min(history)
    with torch.no_grad():
        assert model.objective(*validation, 50.0).item() == pytest.approx(min(history), rel=1e-12)


@pytest.mark.parametrize("size", [16, 600])
def test_written_out_gradients_are_those_of_autograd(size: int) -> None:
    spectra, losses = torch.randn(24, size, dtype=torch.float64), torch.randn(24, dtype=torch.float64)
    plain, own = (Autoencoder(size, 8, torch.Generator().manual_seed(1)) for _ in range(2))
    (plain.objective(spectra, losses, 30.0) / 31).backward()
    gradients = Gradients(own)
    for _ in range(2):  # a second time: nothing adds up
        gradients.compute(spectra, losses, 1 / 31, 30 / 31)
    places = gradients.parameters.grad.split([each.numel() for each in own.parameters()])  # type: ignore[union-attr]
    for parameter, other, found in zip(plain.parameters(), own.parameters(), places, strict=True):
        torch.testing.assert_close(other, parameter)
        assert parameter.grad is not None
        torch.testing.assert_close(found.view(parameter.shape), parameter.grad, rtol=1e-12, atol=1e-15)


def test_saved_and_loaded_models_are_equal(tmp_path: Any) -> None:
    spectra, losses = made(60)
    spectra[0, -3:] = -np.inf
    model = AeLLE(epochs=5, random_state=1, floor=-7.5).fit(spectra, losses)
    loaded = AeLLE.load(model.save(tmp_path / "model.safetensors"))
    assert loaded.get_params() == model.get_params()
    for method in ("transform", "encode", "predict", "predict_high_accuracy"):
        found, expected = getattr(loaded, method)(spectra), getattr(model, method)(spectra)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.safetensors' cannot be read"):
        AeLLE.load(tmp_path / "broken.safetensors")


def test_dead_directions_are_floored_and_other_sizes_interpolated() -> None:
    spectra, losses = made(60)
    dead, floored = spectra.copy(), spectra.copy()
    dead[:, -2:], floored[:, -2:] = -np.inf, AeLLE().floor
    first = AeLLE(epochs=3, random_state=0).fit(dead, losses)
    second = AeLLE(epochs=3, random_state=0).fit(floored, losses)
    np.testing.assert_array_equal(first.transform(dead), second.transform(floored))
    mixed = [row[::2] if number % 2 else row for number, row in enumerate(spectra)]
    assert AeLLE(epochs=3, random_state=0).fit(mixed, losses).n_features_in_ == spectra.shape[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_input_is_refused(bad: float) -> None:
    spectra, losses = made(30)
    spectra[2, 2] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        AeLLE(epochs=1).fit(spectra, losses)
    with pytest.raises(UserError, match="expects them positive"):
        AeLLE(epochs=1).fit(made(30)[0], losses - 5)
    with pytest.raises(UserError, match="target='logarithm'"):
        AeLLE(target="logarithm").fit(*made(30))  # type: ignore[arg-type]
