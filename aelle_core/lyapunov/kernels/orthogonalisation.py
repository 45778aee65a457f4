"""Batched orthogonalisation in torch that stays right on row-graded matrices, for CPU and CUDA.

A saturated unit scales its row of the Jacobian by many orders of magnitude, and Householder's method in the given row
order then loses the small ones. Rows in the order of Gaussian elimination with partial pivoting keep them (Cox &
Higham, Stability of Householder QR factorization for weighted least squares problems, 1998: row-wise backward
stability needs sorted or exchanged rows).
"""

import torch
from torch import Tensor


def orthogonalise(tangents: Tensor) -> tuple[Tensor, Tensor]:
    """(matrices, size, k) -> Q with orthonormal columns, of the same shape, and |r| (matrices, k), the size of R's
    diagonal, with tangents = Q R; 0 where a direction is dead."""
    return by_elimination(tangents) if tangents.is_cuda else by_sorted_householder(tangents)


def by_sorted_householder(tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Return Q (matrices, size, k) and |diag R| (matrices, k) by LAPACK's QR of the rows in elimination order: the way
    without a compiled kernel on a CPU."""
    q, r = sorted_qr(tangents)
    return q, r.diagonal(dim1=-2, dim2=-1).abs()


def sorted_qr(tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Return Q (matrices, size, k) and R (matrices, k, k) of LAPACK's QR with rows in elimination order."""
    factors, pivots, _ = torch.linalg.lu_factor_ex(tangents)
    order = _row_order(factors, pivots).unsqueeze(-1).expand_as(tangents)
    q, r = torch.linalg.qr(tangents.gather(-2, order))
    return torch.empty_like(q).scatter_(-2, order, q), r


def by_elimination(tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Return Q (matrices, size, k) and |diag R| (matrices, k): P A = L U, then L = Q R by CholeskyQR twice, so that |r|
    = |diag U| times both Cholesky diagonals.

    Partial pivoting takes the grading of the rows into U, which leaves L well-conditioned; two rounds of CholeskyQR
    make Q orthonormal to rounding (Yamamoto et al., Roundoff error analysis of the CholeskyQR2 algorithm, 2015).
    Nothing here loops over the batch, as torch.linalg.qr does on CUDA. A matrix whose L is too ill-conditioned for
    Cholesky is done by Householder's method instead.
    """
    k = tangents.shape[-1]
    factors, pivots, _ = torch.linalg.lu_factor_ex(tangents)
    lower = factors.tril(-1)
    lower.diagonal(dim1=-2, dim2=-1).fill_(1)
    radii = factors.diagonal(dim1=-2, dim2=-1).abs()
    q, failed = lower, torch.zeros(len(tangents), dtype=torch.bool, device=tangents.device)
    for _ in range(2):
        cholesky, problem = torch.linalg.cholesky_ex(q.mT @ q)
        failed |= problem != 0
        q = torch.linalg.solve_triangular(cholesky.mT, q, upper=True, left=False)
        radii = radii * cholesky.diagonal(dim1=-2, dim2=-1)
    failed |= ~q.sum(dim=(-2, -1)).isfinite()  # a zero pivot is divided by on some devices
    order = _row_order(factors, pivots).unsqueeze(-1).expand(-1, -1, k)
    q = torch.empty_like(q).scatter_(-2, order, q)
    if bool(failed.any()):
        q[failed], radii[failed] = by_sorted_householder(tangents[failed])
    return q, radii


def _row_order(factors: Tensor, pivots: Tensor) -> Tensor:
    """(matrices, rows) which row of the matrix stands where after elimination's exchanges."""
    permutation, _, _ = torch.lu_unpack(factors, pivots, unpack_data=False)
    return permutation.argmax(dim=-2)
