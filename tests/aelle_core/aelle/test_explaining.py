"""Explanations: what exponents add to a prediction sums to it, and stands where the truth was put."""

import numpy as np
import pytest
import torch

from aelle_core.aelle import AeLLE
from aelle_core.foundation.errors import UserError

SIZE = 12


def made(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of two independent motions: the loss is the first one, which moves the leading four exponents alone."""
    source = np.random.default_rng(0)
    first, second = source.uniform(-1, 1, (2, count))
    spectra = np.linspace(-0.5, -3, SIZE) + np.zeros((count, 1))
    spectra[:, :4] += 0.1 * first[:, None]
    spectra[:, 4:] += 0.2 * second[:, None]
    return spectra, 1.5 + first


@pytest.fixture(scope="module")
def fitted() -> tuple[AeLLE, np.ndarray, np.ndarray]:
    spectra, losses = made()
    model = AeLLE(latent_size=4, members=2, steps=150, weight_decay=2.0, random_state=0).fit(spectra, losses)
    return model, spectra, losses


def test_attributions_sum_to_the_difference_of_predictions(fitted: tuple[AeLLE, np.ndarray, np.ndarray]) -> None:
    model, spectra, losses = fitted
    explanation = model.explain(spectra)
    np.testing.assert_allclose(explanation.attributions.sum(axis=1), explanation.difference, atol=1e-9)
    reference = spectra[7]
    other = model.explain(spectra[:20], reference=reference)
    np.testing.assert_allclose(other.reference, reference, atol=1e-9)
    assert other.difference[7] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(other.attributions.sum(axis=1), other.difference, atol=1e-9)
    standard = model.target_.standard(model.predict(spectra[:20])) - model.target_.standard(model.predict(spectra[7:8]))
    np.testing.assert_allclose(other.difference, standard, atol=1e-6)
    good = losses < np.median(losses)
    contrast = explanation.contrast(good)
    assert contrast.sum() == pytest.approx(explanation.difference[good].mean() - explanation.difference[~good].mean())


def test_an_explanation_of_a_linear_network_is_exact() -> None:
    """Codes of a thousandth of their size leave tanh linear: the slopes are the product of the weights."""
    spectra, losses = made()
    model = AeLLE(latent_size=4, members=1, steps=5, random_state=0).fit(spectra, losses)
    weights = [layer.weight[0] for layer in model.autoencoder_.encoder]
    with torch.no_grad():
        weights[0] *= 1e-4
        for layer in model.autoencoder_.encoder:
            layer.bias.zero_()
    explanation = model.explain(spectra)
    product = model.autoencoder_.predictor.weight[0] @ weights[2] @ weights[1] @ weights[0]
    inputs = model.inputs_(spectra)
    expected = (inputs - inputs.mean(axis=0)) * product[0].numpy()
    np.testing.assert_allclose(explanation.attributions, expected, rtol=1e-5, atol=1e-12)


def test_the_exponents_that_carry_the_loss_carry_the_explanation(fitted: tuple[AeLLE, np.ndarray, np.ndarray]) -> None:
    model, spectra, losses = fitted
    explanation = model.explain(spectra)
    sizes = np.abs(explanation.attributions).mean(axis=0)
    assert sizes[:4].mean() > 2 * sizes[4:].mean()
    contrast = explanation.contrast(losses < np.median(losses))
    assert (contrast[:4] < 0).all()  # good networks' leading exponents are lower, which lowers the predicted loss
    assert contrast[:4].sum() == pytest.approx(contrast.sum(), rel=0.15)  # the others are no better or worse
    leading = explanation.leading(1)[0]
    assert explanation.shares[leading] > 0.8
    assert explanation.shares.sum() == pytest.approx(1, abs=0.05)
    # Standard deviations of each exponent, along the direction in which the predicted loss rises.
    curve = explanation.decoder[leading] * np.sign(explanation.weights[leading]) / spectra.std(axis=0)
    assert (curve[:4] > 0.2).all()
    assert np.abs(curve[4:]).mean() < curve[:4].mean() / 2
    frame = explanation.to_pandas(leading=2)
    assert frame.shape == (SIZE, 2 + 4)


def test_what_cannot_be_explained_is_refused(fitted: tuple[AeLLE, np.ndarray, np.ndarray]) -> None:
    model, spectra, _ = fitted
    with pytest.raises(UserError, match="explain was given 1 spectrum: expected at least 2"):
        model.explain(spectra[:1])
    with pytest.raises(UserError, match="good chooses 120 of 120 networks"):
        model.explain(spectra).contrast(np.ones(120, bool))
