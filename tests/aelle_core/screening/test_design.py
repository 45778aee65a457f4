"""Weights with a given spectrum: what is asked for is what the engine measures afterwards."""

import numpy as np
import pytest
import torch

from aelle_core.cells import Network, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import lyapunov_spectrum
from aelle_core.screening import design


def sequences() -> torch.Tensor:
    return torch.rand(2, 12, 3, generator=generator(0, "inputs"))


@pytest.mark.parametrize("name", ["gru", "rnn"])
def test_a_network_is_given_the_spectrum_of_another(name: str) -> None:
    cell = get_cell(name, 3, 8)
    other = Network(cell, cell.initialise(generator(5, "weights"), 0.8))
    target = lyapunov_spectrum(other, sequences(), jacobian="hidden").exponents
    designed = design(cell, target, sequences(), steps=100)
    measured = lyapunov_spectrum(designed.network, sequences(), jacobian="hidden").exponents
    np.testing.assert_allclose(measured, designed.spectrum, atol=1e-6)
    assert designed.distance == pytest.approx(np.sqrt(np.square(measured - target).mean()), abs=1e-6)
    assert designed.distance < 0.2 < designed.history[0]
    assert designed.distance == designed.history.min()


def test_targets_of_other_lengths_are_interpolated_and_what_cannot_be_is_refused() -> None:
    cell = get_cell("gru", 3, 4)
    designed = design(cell, [-0.2, -1.4], sequences(), steps=2)
    assert designed.spectrum.shape == (4,)
    assert designed.history.shape == (3,)
    start = design(cell, [-0.2, -1.4], sequences(), start=designed.network, steps=1)
    assert start.history[0] == pytest.approx(designed.distance)
    for options, message in (
        ({"spectrum": [[-1.0]]}, r"spectrum \(1, 1\): expected \(k,\)"),
        ({"spectrum": [float("nan")]}, "none of them NaN"),
        ({"steps": 0}, "steps=0"),
        ({"scale": -1}, "scale=-1: expected a number above 0"),
        ({"start": Network(get_cell("gru", 3, 5), get_cell("gru", 3, 5).initialise(generator(0, "w"), 1.0))}, "start"),
    ):
        with pytest.raises(UserError, match=message):
            design(cell, **{"spectrum": [-1.0], "inputs": sequences(), **options})
