"""Growth step by step: exact where steps are known, and its mean is the spectrum."""

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.instantaneous import instantaneous_exponents


def test_single_steps_of_diagonal_jacobians_are_their_logarithms() -> None:
    logarithms = torch.tensor([[0.4, -1.0], [-3.0, -3.5], [0.1, -0.2], [0.0, -2.0]], dtype=torch.float64)
    spectrum = lyapunov_spectrum(torch.diag_embed(logarithms.exp())[None], running=1)
    steps, values = instantaneous_exponents(spectrum)
    assert steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(values, logarithms.numpy(), atol=1e-12)
    np.testing.assert_allclose(values.mean(axis=0), spectrum.exponents, atol=1e-12)


def test_records_of_several_steps_are_means_and_dead_directions_stay_dead() -> None:
    factors = torch.tensor([[2.0, 1.0], [2.0, 0.0], [4.0, 1.0], [4.0, 1.0]], dtype=torch.float64)
    steps, values = instantaneous_exponents(lyapunov_spectrum(torch.diag_embed(factors)[None], running=2))
    assert steps.tolist() == [2, 4]
    np.testing.assert_allclose(values[:, 0], [np.log(2), np.log(4)])
    assert np.isneginf(values[:, 1]).all()


def test_the_picture_marks_the_steps_that_forget() -> None:
    logarithms = torch.tensor([[0.4, 0.2], [-3.0, -3.5], [0.1, -0.9]], dtype=torch.float64)
    spectrum = lyapunov_spectrum(torch.diag_embed(logarithms.exp())[None], running=1)
    axes = spectrum.plot_instantaneous(labels=["a", "b", "c"], leading=2)
    bars = [patch.get_height() for patch in axes.patches]
    np.testing.assert_allclose(bars, [0.3, -3.25, -0.4])
    assert len({patch.get_facecolor() for patch in axes.patches}) == 2
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(UserError, match="2 labels for 3 records"):
        spectrum.plot_instantaneous(labels=["a", "b"])
    with pytest.raises(UserError, match=r"expected lyapunov_spectrum\(..., running=1\)"):
        instantaneous_exponents(lyapunov_spectrum(torch.eye(2)[None, None].expand(1, 3, 2, 2)))
