"""Sparse Jacobians whose entries lie many decades apart: what is marked resolved is right."""

import numpy as np
import pytest

from aelle_core import lyapunov_spectrum
from aelle_core.lyapunov import stretches
from aelle_core.lyapunov.kernels.tangents import TorchTangents

gmpy2 = pytest.importorskip("gmpy2")
DRAWN = {6: 120, 14: 340, 23: 260}  # by seed: with these, coarser comparisons of copies have missed wrong ones


def exact(jacobians: np.ndarray) -> np.ndarray | None:
    """(size,) descending, by Gram-Schmidt, twice, in numbers of many digits; None where a direction dies."""
    steps, size, _ = jacobians.shape
    with gmpy2.context(precision=1200, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max()):
        numbers = np.frompyfunc(gmpy2.mpfr, 1, 1)
        q, totals = numbers(np.eye(size)), np.zeros(size)
        for jacobian in jacobians:
            q = numbers(jacobian) @ q
            for column in range(size):
                for before in [*range(column)] * 2:
                    q[:, column] = q[:, column] - np.dot(q[:, before], q[:, column]) * q[:, before]
                length = gmpy2.sqrt(np.dot(q[:, column], q[:, column]))
                if length == 0 or gmpy2.log(length) < -2000:
                    return None
                totals[column] += float(gmpy2.log(length))
                q[:, column] = q[:, column] / length
    return np.sort(totals / steps)[::-1]


def drawn(random: np.random.Generator) -> np.ndarray:
    """Jacobians (steps, size, size): some of their entries are there, graded by rows, by columns or each by its own."""
    size, steps = int(random.integers(2, 7)), int(random.choice([1, 2, 3, 8, 9, 20]))
    density, kind = random.choice([0.2, 0.4, 0.7, 1.0]), random.integers(5)
    shape = steps, size, size
    jacobians = random.normal(size=shape) * (random.random(shape) < density)
    if kind == 0:
        jacobians += np.eye(size)
    elif kind == 1:
        jacobians *= 10 ** random.uniform(-12, 12, size=shape)
    elif kind == 2:
        jacobians *= 10 ** random.uniform(-9, 9, size=(steps, size, 1)) * 10 ** random.uniform(-3, 3, size=size)
    elif kind == 3:
        jacobians = np.tile(jacobians[0] * 10 ** random.uniform(-8, 8, size=(size, size)), (steps, 1, 1))
    else:
        present = random.random((size, size)) < density
        rows, columns = (10 ** random.uniform(-5, 5, size=part) for part in ((steps, size, 1), (steps, 1, size)))
        jacobians = random.normal(size=shape) * present * columns * rows
    if random.random() < 0.3:
        jacobians = np.triu(jacobians) if random.random() < 0.5 else np.tril(jacobians)
    if random.random() < 0.3:
        jacobians = jacobians + np.eye(size) * 10 ** random.uniform(-6, 6, size=size)
    return jacobians


@pytest.mark.parametrize("seed", DRAWN)
@pytest.mark.parametrize("kernel", ["compiled", "torch"])
def test_resolved_exponents_are_right(seed: int, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "torch":
        monkeypatch.setattr(stretches, "_kernel_for", lambda *_: TorchTangents)
    random, resolved, all_exponents = np.random.default_rng(seed), 0, 0
    for _ in range(DRAWN[seed]):
        jacobians = drawn(random)
        if (expected := exact(jacobians)) is None:
            continue
        spectrum = lyapunov_spectrum(jacobians[np.newaxis])
        assert spectrum.resolved is not None
        errors = np.abs(spectrum.exponents - expected)[spectrum.resolved]
        assert errors.max(initial=0) < 1e-6, jacobians.tolist()
        resolved, all_exponents = resolved + len(errors), all_exponents + len(expected)
    assert resolved > 0.8 * all_exponents
