"""Activation functions with derivatives that keep their relative accuracy in saturation.

1 - tanh(a)^2 loses every digit once tanh(a) rounds to 1 (|a| > 19 in float64); the forms here lose none until
the derivative itself underflows (|a| > 372).
"""

import torch
from torch import Tensor


def tanh_derivative(a: Tensor) -> Tensor:
    """Return sech^2(a) = 4 e / (1 + e)^2 with e = exp(-2 |a|), for a of any shape."""
    e = torch.exp(-2.0 * a.abs())
    return 4.0 * e / (1.0 + e).square()


def tanh_with_derivative(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return tanh(a) and sech^2(a), for a of any shape."""
    return torch.tanh(a), tanh_derivative(a)


def tanh_complements(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - tanh(a) = 2 sigma(-2a) and 1 + tanh(a) = 2 sigma(2a), each to full relative accuracy, for a of any
    shape."""
    return 2.0 * torch.sigmoid(-2.0 * a), 2.0 * torch.sigmoid(2.0 * a)


def difference(of: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """Return u - v from the complements (1 - u, 1 + u) and (1 - v, 1 + v): exact where both have saturated on one side
    and the numbers themselves have rounded to 1 or -1."""
    return torch.where(of[0] < of[1], other[0] - of[0], of[1] - other[1])


def sigmoid_with_derivative(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return sigma(a) and sigma'(a) = sigma(a) sigma(-a), for a of any shape."""
    value = torch.sigmoid(a)
    return value, value * torch.sigmoid(-a)


def relu_derivative(a: Tensor) -> Tensor:
    """Return the indicator of a > 0 as numbers, for a of any shape."""
    return (a > 0).to(a.dtype)
