"""The exponential of skew matrices, with a backward pass that costs little more than the exponential itself."""

import math
from typing import Any

import torch
from torch import Tensor

_LARGEST = 15  # beyond a norm of 2^15 the squarings leave no digit of float32


def skew_exponential(matrices: Tensor) -> Tensor:
    """Return the orthogonal exp(A) of skew matrices A (networks, n, n): scaling and squaring of a Taylor polynomial.

    Its gradient is the skew part of the gradient with respect to A, which is all that an A = S - S^T passes on. Of a
    matrix that is not finite, or whose norm is beyond 2^15, the result is not a number; no matrix disturbs another.

    With A = 2^s B, X_j = exp(2^j B) and ad_B(W) = B W - W B (Higham, Functions of matrices, 2008, chapter 10):

        d exp(A)[E] = exp(A) phi(-ad_A)(E),       phi(z) = (e^z - 1) / z,   phi(2 z) = phi(z) (1 + e^z) / 2

    so that the gradient is phi(ad_A)(W), W = skew part of exp(A)^T G: s times W <- (W + X_j W X_j^T) / 2, then the
    series of phi(ad_B). For skew B and W, W B = (B W)^T: one product a term.
    """
    return _SkewExponential.apply(matrices)[0]


class _SkewExponential(torch.autograd.Function):
    @staticmethod
    def forward(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        norm = torch.linalg.matrix_norm(matrices, 1)
        halvings = torch.log2(2 * norm).ceil().clamp(0, _LARGEST + 1).nan_to_num(0.0)
        halvings = torch.where(norm <= 2.0**_LARGEST, halvings, torch.zeros_like(halvings))
        scaled = matrices * torch.where(norm <= 2.0**_LARGEST, torch.exp2(-halvings), torch.nan)[..., None, None]
        power = _taylor(scaled)
        powers = [power]
        for number in range(int(halvings.max())):
            power = torch.where((number < halvings)[..., None, None], torch.matmul(power, power), power)
            powers.append(power)
        return power.clone(), scaled, halvings, torch.stack(powers)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], matrices: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        # More matrices; how often they are halved is read from the whole batch, as it must be known here.
        return _SkewExponential.apply(matrices.movedim(in_dims[0], 0)), (0, 0, 0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        result, scaled, halvings, powers = ctx.saved_tensors
        product = torch.matmul(result.mT, gradients[0])
        skew = (product - product.mT) / 2
        for number in range(len(powers) - 1):
            turned = torch.matmul(torch.matmul(powers[number], skew), powers[number].mT)
            skew = torch.where((number < halvings)[..., None, None], (skew + turned) / 2, skew)
        terms = 17 if skew.dtype == torch.float64 else 9  # ad_B is at most 1: the rest is below 1 / (terms + 2)!
        total = skew / math.factorial(terms + 1)
        for order in range(terms, 0, -1):
            product = torch.matmul(scaled, total)
            total = torch.add(product - product.mT, skew, alpha=1 / math.factorial(order))
        return total


def _taylor(matrices: Tensor) -> Tensor:
    """Return exp of matrices whose norm is at most 1/2, by powers up to the q-th and Horner's rule in the q-th power
    (Paterson & Stockmeyer 1973)."""
    q, blocks = (4, 4) if matrices.dtype == torch.float64 else (3, 3)  # degree 15: 1e-18 is left; degree 8: 6e-9
    powers = [torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices), matrices]
    while len(powers) <= q:
        powers.append(torch.matmul(powers[-1], matrices))
    total = torch.zeros_like(matrices)
    for block in range(blocks - 1, -1, -1):
        if block < blocks - 1:
            total = torch.matmul(total, powers[q])
        for power in range(q):
            total = torch.add(total, powers[power], alpha=1 / math.factorial(q * block + power))
    return total
