"""Jacobians as the compiled kernel takes them: plain arrays."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.columns import ColumnTerms
from aelle_core.lyapunov.kernels.householder.emitter import PANEL
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians

_SPARSE = 0.25  # of a matrix's entries: where more are there, dense products are faster
_LARGE = 48  # units, below which sparse products do not pay


class KernelTerms:
    """What `arguments.Terms` names, in its order, in one dtype.

    arrays   the fields of `arguments.Terms`
    entries  how many entries the sparse matrices of a network have, at most
    """

    def __init__(self, jacobians: BlockJacobians | ReadoutJacobians, dtype: torch.dtype) -> None:
        readout = jacobians if isinstance(jacobians, ReadoutJacobians) else None
        blocks = jacobians.own if isinstance(jacobians, ReadoutJacobians) else jacobians
        columns = blocks.columns or _nothing(blocks)
        starts, numbers, entries = _entries(blocks, columns) if readout is None else _dense(blocks)
        self.entries = int((starts[:, -1] - starts[:, 0]).max()) if starts.shape[1] else 0

        def array(tensor: Tensor) -> np.ndarray:
            return tensor.to(dtype).contiguous().numpy()

        def positions(pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
            return np.array(pairs, dtype=np.int64).reshape(-1, 2)

        by_input, weight, residual, norm, top = _of_readout(readout, blocks)
        self.arrays: tuple[Any, ...] = (
            blocks.units,
            array(blocks.matrices),
            array(blocks.factors),
            positions(blocks.factor_positions),
            array(blocks.dense),
            positions(blocks.dense_positions),
            array(blocks.diagonals),
            positions(blocks.diagonal_positions),
            array(columns.matrices),
            array(columns.factors),
            positions(columns.positions),
            array(columns.lefts),
            array(columns.rights),
            positions(columns.outer_positions),
            starts.numpy(),
            numbers.numpy(),
            array(entries),
            np.ones(blocks.units, dtype=array(blocks.factors).dtype),
            array(by_input),
            array(weight),
            array(residual),
            array(norm),
            top,
        )


def _nothing(blocks: BlockJacobians) -> ColumnTerms:
    """No terms with changing columns."""
    networks, units = len(blocks.matrices), blocks.units
    matrices, lefts = (
        blocks.matrices.new_empty(networks, 0, units, units),
        blocks.matrices.new_empty(networks, 0, units),
    )
    changing = blocks.factors.new_empty(blocks.trajectories, blocks.steps, 0, units)
    return ColumnTerms(matrices, changing, (), lefts, changing, ())


def _dense(blocks: BlockJacobians) -> tuple[Tensor, Tensor, Tensor]:
    """Starts, numbers and entries that say: there are no sparse products."""
    starts = torch.empty(len(blocks.matrices), 0, dtype=torch.int64)
    return starts, torch.empty(0, dtype=torch.int64), blocks.matrices.new_empty(0)


def _entries(blocks: BlockJacobians, columns: ColumnTerms) -> tuple[Tensor, Tensor, Tensor]:
    """Return starts, numbers and entries of all matrices, row by row, where these are sparse and nothing is dense."""
    matrices = torch.cat([blocks.matrices, columns.matrices], dim=1)
    networks, terms, units = matrices.shape[:3]
    if blocks.dense_positions or not terms or units < _LARGE:
        return _dense(blocks)
    if int(matrices.count_nonzero()) > _SPARSE * matrices.numel():
        return _dense(blocks)
    rows = matrices.mT.reshape(networks * terms * units, units)
    row, column = rows.nonzero(as_tuple=True)
    ends = torch.bincount(row, minlength=len(rows)).cumsum(0)
    begins = torch.cat([ends.new_zeros(1), ends])
    of_network = torch.arange(terms * units + 1) + terms * units * torch.arange(networks).unsqueeze(1)
    return begins[of_network], column, rows[row, column]


def _of_readout(readout: ReadoutJacobians | None, blocks: BlockJacobians) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Return what a readout adds: by_input, weight in panels, residual, norm and top."""
    networks = blocks.matrices.shape[0]
    if readout is None:
        by_input = blocks.factors.new_empty(blocks.trajectories, blocks.steps, 0, blocks.size)
        weight = blocks.factors.new_empty(networks, 0, 1, PANEL)
        return by_input, weight, blocks.factors.new_zeros(networks), blocks.factors.new_ones(networks), 0
    padded = torch.nn.functional.pad(readout.weight, (0, 0, 0, -readout.features % PANEL))
    norm = 1 + readout.weight.flatten(1).norm(dim=1)
    return readout.by_input, padded.unflatten(1, (-1, PANEL)).mT, readout.residual, norm, readout.top
