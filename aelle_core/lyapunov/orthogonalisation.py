"""The kernel: one orthogonalisation that stays right on row-graded matrices."""

import torch
from torch import Tensor


def orthogonalise(tangents: Tensor) -> tuple[Tensor, Tensor]:
    """(matrices, size, k) -> orthonormal Q of the same shape and log |r|, the logarithms of R's diagonal
    (matrices, k), with tangents = Q R; -inf where a direction is dead (r = 0).

    A saturated unit scales its row of the Jacobian by many orders of magnitude, and Householder's method in the
    given row order then loses the small ones. Taking the rows in the order of Gaussian elimination with partial
    pivoting first keeps them (Cox & Higham, Stability of Householder QR factorization for weighted least squares,
    1998: row-wise backward error needs row sorting or pivoting; elimination finds an order as good as theirs here).
    """
    factors, pivots, _ = torch.linalg.lu_factor_ex(tangents)
    permutation, _, _ = torch.lu_unpack(factors, pivots, unpack_data=False)
    order = permutation.argmax(dim=-2).unsqueeze(-1).expand_as(tangents)
    q, r = torch.linalg.qr(tangents.gather(-2, order))
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    # Not sign(r): its zero would kill a dead direction's column for ever.
    q = q * torch.where(diagonal < 0, -1.0, 1.0).to(q.dtype).unsqueeze(-2)
    return torch.empty_like(q).scatter_(-2, order, q), diagonal.abs().log()
