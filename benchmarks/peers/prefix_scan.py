"""Exponents in parallel over time: a prefix scan of the Jacobians' products, with selective resets.

Heinsen & Kozachkov, Generalized orders of magnitude for scalable, parallel, high-dynamic-range computation (2025),
section 4.2, with their thresholds. All products J_t ... J_1 come from one scan; where two columns of a product inside
it point the same way, the product is replaced by an orthonormal basis of its columns. Then every step's
factorisation is made at once. In place of their complex logarithms, each product has its largest entry divided out.
"""

import torch
from torch import Tensor

_SAME_WAY = 0.99999  # the cosine between two columns, from which on a product is reset


def spectrum(jacobians: Tensor) -> Tensor:
    """Return the exponents (size,), nats per step, of Jacobians (steps, size, size)."""
    steps, size, _ = jacobians.shape
    products, _ = _scan(jacobians, torch.zeros(steps, dtype=torch.bool))
    before = torch.cat([torch.eye(size, dtype=jacobians.dtype).unsqueeze(0), torch.linalg.qr(products[:-1])[0]])
    return torch.linalg.qr(jacobians @ before)[1].diagonal(dim1=-2, dim2=-1).abs().log().mean(dim=0)


def _scan(products: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
    """Inclusive prefix scan over (steps, size, size) and (steps,): pairs first, then those before them, so that the
    work is proportional to the steps."""
    if len(products) == 1:
        return products, reset
    even = len(products) // 2 * 2
    pairs = _together(products[0:even:2], reset[0:even:2], products[1:even:2], reset[1:even:2])
    at_odd = _scan(*pairs)
    left = tuple(values[: (len(products) - 1) // 2] for values in at_odd)
    at_even = _together(left[0], left[1], products[2::2], reset[2::2])
    whole, known = torch.empty_like(products), torch.empty_like(reset)
    for place, values in ((slice(1, None, 2), at_odd), (slice(2, None, 2), at_even)):
        whole[place], known[place] = values
    whole[0], known[0] = products[0], reset[0]
    return whole, known


def _together(early: Tensor, early_reset: Tensor, late: Tensor, late_reset: Tensor) -> tuple[Tensor, Tensor]:
    """Late times early products (count, size, size); what was reset late does not depend on what was early."""
    lengths = early.norm(dim=-2, keepdim=True)
    directions = early / lengths
    cosines = (directions.mT @ directions).abs().triu(diagonal=1).flatten(1).amax(dim=1)
    now = ~early_reset & ~(cosines <= _SAME_WAY)
    if bool(now.any()):
        early = early.clone()
        early[now] = torch.linalg.qr(early[now])[0]
    product = late @ early
    product = torch.where(late_reset[:, None, None], late, product)
    largest = product.abs().amax(dim=(-2, -1), keepdim=True)
    return product / largest, early_reset | late_reset | now
