"""What a spectrum says and how it leaves for other tools."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from aelle_core import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.foundation.errors import UserError


def spectrum_of(values: list[float]) -> LyapunovSpectrum:
    """An autonomous diagonal map: its exponents are exact."""
    factors = torch.tensor(values, dtype=torch.float64)
    return lyapunov_spectrum(lambda _, s: s * factors, steps=50, initial_state=torch.ones(1, len(values)).double())


def test_vanishing_gradients_are_named_with_their_horizon() -> None:
    said = spectrum_of([0.5, 0.25]).summary()
    assert said.startswith("Gradients vanish over 50 steps: the largest exponent is -0.693 nats per step")
    assert f"The horizon is {math.log(100) / math.log(2):.3g} steps" in said


def test_exploding_gradients_are_named_with_what_tames_them() -> None:
    said = spectrum_of([1.5, 0.25]).summary()
    assert said.startswith("Gradients explode over 50 steps")
    assert "truncated backpropagation" in said


def test_surviving_directions_are_counted_over_the_length_that_is_asked_for() -> None:
    spectrum = spectrum_of([1.0, 0.99, 0.5])
    assert "2 of 3 directions keep at least 1%" in spectrum.summary()
    assert "1 of 3 directions keeps at least 1%" in spectrum.summary(steps=1000)
    assert spectrum.horizon() == pytest.approx(math.inf)
    with pytest.raises(UserError, match="steps=0"):
        spectrum.summary(0)


def test_one_is_counted_as_one() -> None:
    single = lyapunov_spectrum(nn.RNN(1, 1, batch_first=True), torch.zeros(1, 1, 1), check=False)
    assert repr(single).endswith("k=1 of 1, 1 x 1 step)")
    assert "over 1 step:" in single.summary()
    assert "1 of 1 exponent." in single._repr_html_()
    assert "<td>1 sequence of 1 counted step</td>" in single._repr_html_()


def test_a_dead_direction_is_mentioned() -> None:
    assert "1 direction is dead" in spectrum_of([0.9, 0.0]).summary(5)


def test_arrays_frames_and_dictionaries_hold_the_same_numbers() -> None:
    spectrum = spectrum_of([0.9, 0.5])
    np.testing.assert_array_equal(np.asarray(spectrum), spectrum.exponents)
    assert np.add(spectrum, 1.0).tolist() == (spectrum.exponents + 1.0).tolist()
    held = json.loads(json.dumps(spectrum.to_dict()))
    assert held["exponents"] == spectrum.exponents.tolist()
    frame = pytest.importorskip("pandas") and spectrum.to_pandas()
    assert frame["exponent"].tolist() == spectrum.exponents.tolist()
    assert frame.index.tolist() == [1, 2]


def test_a_notebook_shows_the_sentence_and_a_picture() -> None:
    page = spectrum_of([0.9, 0.0])._repr_html_()
    assert "<svg" in page
    assert page.count("<circle") == 1  # the dead direction has no place in it
    assert "Gradients" in page


def test_covariant_vectors_come_with_the_spectrum_on_request() -> None:
    torch.manual_seed(0)
    spectrum = lyapunov_spectrum(nn.GRU(2, 3, batch_first=True), torch.randn(2, 60, 2), warmup=10, vectors="covariant")
    assert spectrum.covariant is not None
    assert spectrum.covariant.vectors.shape == (2, 40, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(spectrum.covariant.vectors, axis=-2), 1.0)
    with pytest.raises(UserError, match="vectors='clv'"):
        lyapunov_spectrum(nn.GRU(2, 3, batch_first=True), torch.randn(2, 60, 2), vectors="clv")  # type: ignore[arg-type]
