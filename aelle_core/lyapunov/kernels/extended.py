"""Tangents in numbers of many digits, for Jacobians that are graded by rows and columns at once.

There float64 loses the smallest directions in whatever order it works. Numbers of MPFR have as many digits as are asked
for, and exponents that do not underflow. Python does the arithmetic: some 20 ms a step and sequence at N = 32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.kernels.factored import FactoredJacobians
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, Jacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians
from aelle_core.lyapunov.kernels.tangents import Frame

Numbers = np.ndarray
"""An array of gmpy2.mpfr."""


class ExtendedTangents:
    """Tangents as unit lower triangles with exchanged rows, in numbers of `bits` binary digits.

    J L = P L' U, elimination with row exchanges, spans the same nested spaces as J Q = Q' R does, and needs neither
    square roots nor reflectors (treppen iteration: Bauer, Z. angew. Math. Phys. 8, 1957). With volumes v_i, the
    diagonal of R in L = Q R, which a well-conditioned L has to all digits in float64 too,
    log |r_i| = log |u_i| + log v'_i - log v_i.
    """

    def __init__(self, frame: Frame, bits: int) -> None:
        self.frame, self.bits = frame, bits
        with _digits(bits) as numbers:
            self.lower = [numbers(np.eye(frame.size, frame.k)) for _ in range(frame.trajectories)]
        self.volumes = np.zeros((frame.trajectories, frame.k))
        self.labels = np.tile(np.arange(frame.k), (frame.trajectories, 1))

    def advance(self, jacobians: Jacobians, threads: int = 1, wanted: Tensor | None = None) -> tuple[Tensor, None]:
        if isinstance(jacobians, ReadoutJacobians):
            jacobians = jacobians.dense()
        if not isinstance(jacobians, BlockJacobians | FactoredJacobians):
            raise TypeError(f"tangents of many digits are moved by blocks, not by {type(jacobians).__name__}")
        own = jacobians.own if isinstance(jacobians, FactoredJacobians) else jacobians
        logarithms = np.full((jacobians.trajectories, jacobians.steps, self.frame.k), np.nan)
        per_network = jacobians.trajectories // jacobians.matrices.shape[0]
        with _digits(self.bits) as numbers:
            of_columns = () if own.columns is None else (own.columns.matrices.mT, own.columns.lefts)
            shared = [numbers(terms.cpu().numpy()) for terms in (own.matrices.mT, *of_columns)]
            for trajectory in jacobians.finite().nonzero().flatten().tolist():
                for step in range(jacobians.steps):
                    of_network = [terms[trajectory // per_network] for terms in shared]
                    jacobian = _summed(own, trajectory, step, of_network, numbers)
                    if isinstance(jacobians, FactoredJacobians):
                        jacobian = _multiplied(jacobians, jacobian, trajectory, step, numbers)
                    logarithm = self._move(trajectory, jacobian @ self.lower[trajectory])
                    logarithms[trajectory, step, self.labels[trajectory]] = logarithm
        return torch.from_numpy(logarithms), None

    def _move(self, trajectory: int, pushed: Numbers) -> np.ndarray:
        """Replace the triangle of a trajectory by the next, from J L. Returns log |r|, column by column."""
        pivots, order = eliminate(pushed, self.labels[trajectory])
        lower = np.tril(pushed, -1)
        np.fill_diagonal(lower, type(pushed[0, 0])(1))
        self.lower[trajectory] = np.empty_like(lower)
        self.lower[trajectory][order] = lower
        with np.errstate(divide="ignore"):
            volumes = np.log(np.abs(np.diagonal(np.linalg.qr(lower.astype(np.float64)).R)))
        logarithms = pivots + volumes - self.volumes[trajectory]
        self.volumes[trajectory] = volumes
        return logarithms


def eliminate(matrix: Numbers, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eliminate a matrix (rows, columns) in place, with the largest row first, and leave the multipliers below the
    diagonal. Returns log |pivot| of every column, (columns,), and which row of the matrix stands where, (rows,). A
    zero column goes to the end, with its label, so that others may live; its pivot is -inf."""
    import gmpy2

    rows, columns = matrix.shape
    order, logarithms = np.arange(rows), np.full(columns, -np.inf)
    for column in range(columns):
        for _ in range(column, columns):
            best = column + int(np.argmax(np.abs(matrix[column:, column])))
            if matrix[best, column] != 0:
                break
            matrix[:, column:] = np.roll(matrix[:, column:], -1, axis=1)
            labels[column:] = np.roll(labels[column:], -1)
        else:
            return logarithms, order  # nothing is left
        if best != column:
            matrix[[column, best]], order[[column, best]] = matrix[[best, column]], order[[best, column]]
        pivot = matrix[column, column]
        logarithms[column] = float(gmpy2.log(abs(pivot)))
        matrix[column + 1 :, column] /= pivot
        if column + 1 < columns:
            matrix[column + 1 :, column + 1 :] -= np.outer(matrix[column + 1 :, column], matrix[column, column + 1 :])
    return logarithms, order


def _summed(jacobians: BlockJacobians, trajectory: int, step: int, shared: list[Numbers], numbers: Any) -> Numbers:
    """Return the blocks of one step of a trajectory, their terms summed in all digits. `shared` are its network's
    matrices, and those and the lefts of `ColumnTerms` where there are some."""
    units = jacobians.units
    matrices, *of_columns = shared
    whole = numbers(np.zeros((jacobians.size, jacobians.size)))
    factors, dense, diagonals = (
        numbers(terms[trajectory, step].cpu().numpy())
        for terms in (jacobians.factors, jacobians.dense.mT, jacobians.diagonals)
    )

    def block(position: tuple[int, int]) -> Numbers:
        row, column = (units * part for part in position)
        return whole[row : row + units, column : column + units]

    for factor, matrix, position in zip(factors, matrices, jacobians.factor_positions, strict=True):
        block(position)[:] += factor[:, None] * matrix
    for term, position in zip(dense, jacobians.dense_positions, strict=True):
        block(position)[:] += term
    for diagonal, position in zip(diagonals, jacobians.diagonal_positions, strict=True):
        block(position)[np.diag_indices(units)] += diagonal
    if (columns := jacobians.columns) is not None:
        scaled, lefts = of_columns
        factors, rights = (
            numbers(terms[trajectory, step].cpu().numpy()) for terms in (columns.factors, columns.rights)
        )
        for factor, matrix, position in zip(factors, scaled, columns.positions, strict=True):
            block(position)[:] += factor * matrix
        for left, right, position in zip(lefts, rights, columns.outer_positions, strict=True):
            block(position)[:] += np.outer(left, right)
    return whole


def _multiplied(jacobians: FactoredJacobians, own: Numbers, trajectory: int, step: int, numbers: Any) -> Numbers:
    """(I + F) G, of the parts that count."""
    units = jacobians.own.units
    whole = own.copy()
    for row, by, slopes, matrix in jacobians.through:
        carried = own[by * units : (by + 1) * units]
        if matrix is not None:
            network = trajectory // (jacobians.trajectories // len(matrix))
            carried = numbers(matrix[network].cpu().numpy()) @ carried
        whole[row * units : (row + 1) * units] += numbers(slopes[trajectory, step].cpu().numpy())[:, None] * carried
    return whole[: jacobians.kept, : jacobians.kept]


@contextmanager
def _digits(bits: int) -> Iterator[Any]:
    """Within: arithmetic of so many binary digits; gives what turns an array of float64 into such numbers."""
    gmpy2 = _gmpy2()
    with gmpy2.context(precision=bits, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max()):
        yield lambda array: np.frompyfunc(gmpy2.mpfr, 1, 1)(array) if array.size else array.astype(object)


def _gmpy2() -> Any:
    try:
        import gmpy2
    except ImportError as error:
        raise UserError("precision='extended' needs the package gmpy2, which is not installed") from error
    return gmpy2
