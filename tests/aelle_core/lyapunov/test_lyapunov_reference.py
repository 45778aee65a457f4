"""Every cell's spectrum, from plain to deeply saturated networks, against arithmetic of as many digits as it needs."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from aelle_core import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.cells import Network, cells, get_cell
from aelle_core.foundation.random_streams import generator
from tests.helpers.references import arrays_of, reference_spectrum

SCALE, UNITS, FEATURES, STEPS, SEQUENCES = 0.5, 8, 4, 8, 2
GAINS = [1.0, 10.0, 30.0, 100.0]


# From these gains on, float64 cannot hold the Jacobian of the whole state: d h' / d h = o tanh'(c') d c' / d h + ...
# swallows its small terms before anything is orthogonalised. Exponents are then told to be unresolved.
BEYOND_FLOAT64 = {("lstm", "full"): 10.0, ("lem", "full"): 10.0, ("lem", "hidden"): 100.0}


@dataclass(frozen=True)
class Comparison:
    """A spectrum, and what it should be: `expected` (sequences, k) in the order of the directions."""

    found: LyapunovSpectrum
    expected: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """Directions by descending mean exponent, as the result has them."""
        return np.argsort(-self.expected.mean(axis=0), kind="stable")

    @property
    def worst_resolved(self) -> float:
        """How far the exponents that are marked resolved are off, at most, in nats per step."""
        assert self.found.resolved is not None
        error = difference(self.found.exponents, self.expected.mean(axis=0)[self.order])
        return float(error[self.found.resolved].max(initial=0.0))


def difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The error; 0 where both are -inf."""
    with np.errstate(invalid="ignore"):
        return np.where(found == expected, 0.0, np.abs(found - expected))


def random_network(name: str, seed: int, gain: float, units: int, features: int) -> Network:
    """The recurrent and input weights are multiplied by `gain`, the biases are not. What starts at zero is drawn."""
    cell = get_cell(name, features, units)
    drawn = cell.initialise(generator(seed, "weights"), SCALE)
    for value in drawn.values():
        if not value.any():
            value.uniform_(-SCALE, SCALE, generator=generator(seed, "zeros"))
    return Network(cell, {key: value.double() * (gain if value.dim() > 1 else 1.0) for key, value in drawn.items()})


@functools.cache
def expected_spectra(
    name: str, seed: int, gain: float, jacobian: Any, sizes: tuple[int, int, int, int]
) -> tuple[Network, torch.Tensor, np.ndarray]:
    """A random network, random inputs, and the reference for every sequence."""
    units, features, steps, sequences = sizes
    network = random_network(name, seed, gain, units, features)
    inputs = torch.randn(sequences, steps, features, generator=generator(seed, "test"), dtype=torch.float64)
    arrays = arrays_of(network)
    expected = [reference_spectrum(name, arrays, sequence, jacobian=jacobian) for sequence in inputs.numpy()]
    return network, inputs, np.stack(expected)


def compare(name: str, seed: int, gain: float, jacobian: Any, sizes: tuple[int, int, int, int]) -> Comparison:
    # With a single part the hidden state is the whole state: one reference does for both.
    kind = jacobian if len(cells[name].parts) > 1 else "full"
    network, inputs, expected = expected_spectra(name, seed, gain, kind, sizes)
    return Comparison(lyapunov_spectrum(network, inputs, jacobian=jacobian), expected)


@functools.cache
def compared(name: str, gain: float, jacobian: str) -> Comparison:
    return compare(name, 0, gain, jacobian, (UNITS, FEATURES, STEPS, SEQUENCES))


each_case = pytest.mark.parametrize(
    ("name", "gain", "jacobian"),
    [(name, gain, jacobian) for name in cells for gain in GAINS for jacobian in ("full", "hidden")],
)


@each_case
def test_all_but_the_last_direction_are_right(name: str, gain: float, jacobian: str) -> None:
    """Sequence by sequence. The last direction is left out: it bears the rounding of all the others."""
    case = compared(name, gain, jacobian)
    if gain >= BEYOND_FLOAT64.get((name, jacobian), math.inf):
        assert case.found.resolved is not None
        assert not case.found.resolved.all()
        return
    kept = case.order != case.expected.shape[1] - 1
    expected = case.expected[:, case.order][:, kept]
    error = difference(case.found.per_sequence[:, kept], expected) / np.maximum(1.0, np.abs(expected))
    worst = float(error[np.isfinite(expected)].max(initial=0.0))
    assert worst < 1e-8


@each_case
def test_dead_directions_are_dead(name: str, gain: float, jacobian: str) -> None:
    case = compared(name, gain, jacobian)
    expected = np.isneginf(case.expected[:, case.order])
    assert np.isneginf(case.found.per_sequence[expected]).all()


@each_case
def test_what_is_marked_resolved_is_right(name: str, gain: float, jacobian: str) -> None:
    assert compared(name, gain, jacobian).worst_resolved <= 1e-6


@pytest.mark.parametrize(
    ("name", "gain", "jacobian"),
    [(name, gain, kind) for name in ("gru", "lstm", "lem") for gain in GAINS[1:] for kind in ("full", "hidden")],
)
def test_with_as_many_digits_as_it_takes_all_directions_are_right(name: str, gain: float, jacobian: str) -> None:
    """The last ones too, and where float64 holds neither the Jacobian nor the tangents: saturated gated cells."""
    kind = jacobian if len(cells[name].parts) > 1 else "full"
    network, inputs, expected = expected_spectra(name, 0, gain, kind, (UNITS, FEATURES, STEPS, SEQUENCES))
    case = Comparison(lyapunov_spectrum(network, inputs, jacobian=jacobian, precision="extended"), expected)  # type: ignore[arg-type]
    assert case.found.resolved is not None
    assert case.found.resolved.all()
    assert case.worst_resolved < 1e-8
    assert case.found.sum_rule_residual < 1e-6


@functools.cache
def swept() -> list[tuple[float, str, Comparison]]:
    """Sixty small networks of random cell, size, length and gain, each with its gain and a label."""
    source = np.random.default_rng(0)
    several = []
    for seed in range(60):
        name = str(source.choice(list(cells)))
        gain = math.exp(source.uniform(0.0, math.log(300.0)))
        jacobian = str(source.choice(["full", "hidden"]))
        sizes = (int(source.integers(4, 7)), 3, int(source.integers(4, 7)), int(source.integers(1, 3)))
        several.append(
            (gain, f"{name}, {jacobian}, gain {gain:.3g}, seed {seed}", compare(name, seed, gain, jacobian, sizes))
        )
    return several


def test_what_is_marked_resolved_is_right_whatever_the_network() -> None:
    worst = {label: case.worst_resolved for _, label, case in swept()}
    assert not {label: error for label, error in worst.items() if not error <= 1e-6}


def test_most_exponents_of_ordinary_networks_are_marked_resolved() -> None:
    """A mark that always says no would pass the other tests."""
    marks = np.concatenate([case.found.resolved for gain, _, case in swept() if gain <= 10.0])
    assert len(marks) > 100
    assert marks.mean() > 0.9
