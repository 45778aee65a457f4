"""Covariant vectors against eigenvectors, against the dynamics themselves, and against clvlib where it is installed."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.covariant import covariant_vectors
from aelle_core.lyapunov.differentiable.exponents import lyapunov_exponents


def henon(_: Tensor | None, state: Tensor) -> Tensor:
    x, y = state.unbind(-1)
    return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x], dim=-1)


def test_vectors_of_a_linear_map_are_its_eigenvectors() -> None:
    source = torch.Generator().manual_seed(0)
    basis = torch.randn(4, 4, dtype=torch.float64, generator=source)
    values = torch.tensor([1.5, 0.9, 0.5, -0.2], dtype=torch.float64)
    matrix = basis @ torch.diag(values) @ torch.linalg.inv(basis)
    covariant = covariant_vectors(
        lambda _, s: s @ matrix.mT, steps=180, warmup=80, settle=60, initial_state=torch.zeros(1, 4)
    )
    np.testing.assert_allclose(covariant.exponents, values.abs().log().numpy(), atol=1e-10)
    expected = (basis / torch.linalg.vector_norm(basis, dim=0)).numpy()
    cosines = np.abs((covariant.vectors[0] * expected).sum(axis=-2))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-10)


def test_each_vector_is_carried_onto_the_next() -> None:
    covariant = covariant_vectors(henon, steps=400, warmup=150, settle=100, initial_state=torch.zeros(1, 2))
    x, y = 0.0, 0.0
    states = []
    for _ in range(400):
        states.append(x)
        x, y = 1 - 1.4 * x**2 + y, 0.3 * x
    for position in range(1, covariant.vectors.shape[1]):
        jacobian = np.array([[-2.8 * states[covariant.first + position], 1.0], [0.3, 0.0]])
        pushed = jacobian @ covariant.vectors[0, position - 1]
        np.testing.assert_allclose(np.log(np.linalg.norm(pushed, axis=0)), covariant.growth[0, position], atol=1e-7)
        cosines = np.abs((pushed / np.linalg.norm(pushed, axis=0) * covariant.vectors[0, position]).sum(axis=0))
        np.testing.assert_allclose(cosines, 1.0, atol=1e-9)
    assert covariant.growth.sum(axis=-1).mean() == pytest.approx(
        math.log(0.3) + float(np.log(_sine(covariant.vectors[0, -1]) / _sine(covariant.vectors[0, 0]))) / 150, abs=0.05
    )
    assert 0 < covariant.angles().min() < math.pi / 2


def _sine(vectors: np.ndarray) -> float:
    return float(abs(np.linalg.det(vectors)))


def test_exponents_of_a_gru_are_those_of_the_spectrum() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.GRU(2, 4, batch_first=True), torch.randn(3, 200, 2)
    covariant = covariant_vectors(layer, inputs, warmup=40, settle=40)
    expected = lyapunov_exponents(layer, inputs[:, :160], warmup=40).detach().mean(dim=0).numpy()
    np.testing.assert_allclose(np.sort(covariant.exponents)[::-1], np.sort(expected)[::-1], atol=0.02)
    assert covariant.vectors.shape == (3, 120, 4, 4)


def test_clvlib_finds_the_same_vectors_of_a_constant_map() -> None:
    # Only there: on Hénon's map the second vectors of clvlib 0.1.5 are not carried onto each other by the Jacobian.
    clvlib = pytest.importorskip("clvlib.numpy", reason="needs the extra 'development'")
    matrix = np.array([[1.1, 0.4, 0.0], [0.2, 0.8, 0.3], [0.0, 0.3, 0.4]])
    covariant = covariant_vectors(
        lambda _, s: s @ torch.from_numpy(matrix).mT, steps=300, warmup=100, settle=100, initial_state=torch.ones(1, 3)
    )
    theirs = clvlib.lyap_analysis_from_ic(
        lambda _, s: matrix @ s, lambda _, s: matrix, np.full(3, 1e-9), np.arange(301.0), stepper="discrete"
    )
    cosines = np.abs((covariant.vectors[0, 50] * theirs[4][150]).sum(axis=-2))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-8)


def test_a_dead_direction_is_refused_by_number() -> None:
    matrix = torch.diag(torch.tensor([0.5, 0.0], dtype=torch.float64))
    with pytest.raises(UserError, match=r"k=2: 1 of these directions is dead at step 1; expected at most 1"):
        covariant_vectors(lambda _, s: s @ matrix.mT, steps=5, initial_state=torch.ones(1, 2))
