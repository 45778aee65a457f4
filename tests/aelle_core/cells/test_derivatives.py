"""Derivatives against 60-digit arithmetic, deep into saturation."""

from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor

from aelle_core.cells.derivatives import relu_derivative, sigmoid_with_derivative, tanh_with_derivative

POINTS = [-300.0, -50.0, -19.5, -3.0, -1e-9, 0.0, 0.7, 5.0, 25.0, 100.0, 350.0]


@pytest.mark.parametrize(
    ("function", "value", "derivative"),
    [
        (tanh_with_derivative, mpmath.tanh, lambda a: 1 / mpmath.cosh(a) ** 2),
        (
            sigmoid_with_derivative,
            lambda a: 1 / (1 + mpmath.exp(-a)),
            lambda a: mpmath.exp(-a) / (1 + mpmath.exp(-a)) ** 2,
        ),
    ],
)
def test_value_and_derivative_keep_their_relative_accuracy(
    function: Callable[[Tensor], tuple[Tensor, Tensor]],
    value: Callable[[mpmath.mpf], mpmath.mpf],
    derivative: Callable[[mpmath.mpf], mpmath.mpf],
) -> None:
    values, slopes = function(torch.tensor(POINTS, dtype=torch.float64))
    with mpmath.workdps(60):
        for index, point in enumerate(POINTS):
            exact_value, exact_slope = value(mpmath.mpf(point)), derivative(mpmath.mpf(point))
            assert abs(values[index].item() - exact_value) <= 1e-14 * abs(exact_value)
            assert abs(slopes[index].item() - exact_slope) <= 1e-13 * abs(exact_slope)


def test_relu_is_dead_below_zero() -> None:
    slopes = relu_derivative(torch.tensor([-1.0, 0.0, 2.0]))
    assert slopes.tolist() == [0.0, 0.0, 1.0]
