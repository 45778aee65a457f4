"""Activation functions with derivatives that keep their relative accuracy in saturation.

1 - tanh(a)^2 loses every digit once tanh(a) rounds to 1 (|a| > 19 in float64); the forms here lose none until
the derivative itself underflows (|a| > 372).
"""

import torch
from torch import Tensor


def tanh_with_derivative(a: Tensor) -> tuple[Tensor, Tensor]:
    """tanh(a) and sech^2(a) = 4 e / (1 + e)^2 with e = exp(-2 |a|)."""
    e = torch.exp(-2.0 * a.abs())
    return torch.tanh(a), 4.0 * e / (1.0 + e).square()


def sigmoid_with_derivative(a: Tensor) -> tuple[Tensor, Tensor]:
    """sigma(a) and sigma'(a) = sigma(a) sigma(-a)."""
    value = torch.sigmoid(a)
    return value, value * torch.sigmoid(-a)


def relu_with_derivative(a: Tensor) -> tuple[Tensor, Tensor]:
    """max(a, 0) and the indicator of a > 0."""
    return torch.relu(a), (a > 0).to(a.dtype)
