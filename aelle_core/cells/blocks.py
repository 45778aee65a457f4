"""A step's Jacobian as blocks between the parts of the state, each in the form that is cheapest to work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Through:
    """How a new part hangs on another new part, as h' = o tanh(c') on c': by diag(slopes) matrix, or diag(slopes).

    slopes (networks, batch, units)      matrix (networks, units, units)
    """

    part: str
    slopes: Tensor
    matrix: Tensor | None = None


@dataclass(frozen=True)
class Columns:
    """Summands of a block whose columns change: the sum over terms of matrix diag(factors), and, where there are some,
    of left right^T.

    factors (networks, batch, terms, units)      matrices (networks, terms, units, units)
    rights  (networks, batch, terms, units)      lefts    (networks, terms, units)
    """

    factors: Tensor
    matrices: Tensor
    rights: Tensor | None = None
    lefts: Tensor | None = None

    def to_dense(self) -> Tensor:
        """(networks, batch, units, units)."""
        turned = gates_scaled(self.factors, self.matrices.mT)
        if self.rights is not None and self.lefts is not None:
            turned += self.rights.mT @ self.lefts.unsqueeze(1)
        return turned.mT


@dataclass(frozen=True)
class Block:
    """One block of a Jacobian: the sum over gates of diag(slope) matrix, plus a diagonal, plus matrices whose columns
    are scaled, plus a dense matrix; what is None is absent.

    slopes    (networks, batch, gates, units)      matrices  (networks, gates, units, units)
    diagonal  (networks, batch, units)             dense     makes (networks, batch, units, units), called where the
                                                             block is wanted; fastest as the .mT of a contiguous one
    columns   matrix diag(factors)
    through   another part that carries the old one into this one as well: its block, multiplied, is to be added, which
              `merged` does. The product's large terms may swallow this block's own, so it stands apart until then
    """

    slopes: Tensor | None = None
    matrices: Tensor | None = None
    diagonal: Tensor | None = None
    dense: Callable[[], Tensor] | None = None
    columns: Columns | None = None
    through: Through | None = None

    def to_dense(self) -> Tensor:
        """(networks, batch, units, units), of a merged block."""
        assert self.through is None
        summands = [] if self.dense is None else [self.dense()]
        if self.slopes is not None and self.matrices is not None:
            summands.append(gates_scaled(self.slopes, self.matrices))
        if self.diagonal is not None:
            summands.append(torch.diag_embed(self.diagonal))
        if self.columns is not None:
            summands.append(self.columns.to_dense())
        return sum(summands[1:], start=summands[0])


Blocks = dict[tuple[str, str], Block]
"""(part of the new state, part of the old state) -> its share of the Jacobian. An absent pair is a block of zeros."""


def merged(blocks: Blocks, parts: Sequence[str]) -> Blocks:
    """Return the same Jacobian among those parts, with nothing left to go `through`."""
    return {
        (new, old): _merged(block, blocks, old) for (new, old), block in blocks.items() if new in parts and old in parts
    }


def _merged(block: Block, blocks: Blocks, old: str) -> Block:
    way = block.through
    if way is None:
        return block
    own = replace(block, through=None)
    inner = blocks.get((way.part, old))
    if inner is None:
        return own
    assert inner.columns is None
    if way.matrix is not None:
        assert own.dense is None
        return replace(own, dense=lambda: _product(way, inner))
    if inner.slopes is not None and inner.matrices is not None:
        slopes, matrices = way.slopes.unsqueeze(2) * inner.slopes, inner.matrices
        if own.slopes is not None and own.matrices is not None:
            slopes, matrices = torch.cat([slopes, own.slopes], dim=2), torch.cat([matrices, own.matrices], dim=1)
        own = replace(own, slopes=slopes, matrices=matrices)
    if inner.diagonal is not None:
        diagonal = way.slopes * inner.diagonal
        own = replace(own, diagonal=diagonal if own.diagonal is None else own.diagonal + diagonal)
    return own


def _product(way: Through, inner: Block) -> Tensor:
    """diag(slopes) matrix block, as the transposed of a contiguous tensor."""
    assert way.matrix is not None
    turned = way.matrix.mT
    whole: Tensor | None = None
    if inner.slopes is not None and inner.matrices is not None:
        gates = gates_scaled_transposed(inner.slopes, inner.matrices)
        whole = (gates.flatten(1, 2) @ turned).view_as(gates)
    if inner.diagonal is not None:
        scaled = inner.diagonal.unsqueeze(-1) * turned.unsqueeze(1)
        whole = scaled if whole is None else whole.add_(scaled)
    assert whole is not None
    return whole.mul_(way.slopes.unsqueeze(-2)).mT


def rows_scaled(factors: Tensor, matrix: Tensor) -> Tensor:
    """diag(factors) matrix: (networks, batch, rows), (networks, rows, columns) -> (networks, batch, rows, columns)."""
    return factors.unsqueeze(-1) * matrix.unsqueeze(1)


def gates_scaled(slopes: Tensor, matrices: Tensor) -> Tensor:
    """Return the sum over gates of diag(slope) matrix, (networks, batch, units, columns), from slopes (networks, batch,
    gates, units) and matrices (networks, gates, units, columns)."""
    total = rows_scaled(slopes[:, :, 0], matrices[:, 0])
    for gate in range(1, slopes.shape[2]):
        total.addcmul_(slopes[:, :, gate].unsqueeze(-1), matrices[:, gate].unsqueeze(1))
    return total


def gates_scaled_transposed(slopes: Tensor, matrices: Tensor) -> Tensor:
    """Return the transpose of `gates_scaled`, contiguous: (networks, batch, columns, units)."""
    turned = matrices.mT.contiguous()
    total = slopes[:, :, 0].unsqueeze(-2) * turned[:, 0].unsqueeze(1)
    for gate in range(1, slopes.shape[2]):
        total.addcmul_(slopes[:, :, gate].unsqueeze(-2), turned[:, gate].unsqueeze(1))
    return total


def dense_jacobian(blocks: Blocks, parts: tuple[str, ...]) -> Tensor:
    """Blocks -> (networks, batch, size, size), rows and columns in the order of `parts`."""
    blocks = merged(blocks, parts)
    whole: Tensor | None = None
    for row, new in enumerate(parts):
        for column, old in enumerate(parts):
            if (block := blocks.get((new, old))) is None:
                continue
            dense = block.to_dense()
            units = dense.shape[-1]
            if whole is None:
                whole = dense.new_zeros(*dense.shape[:2], len(parts) * units, len(parts) * units)
            whole[..., row * units : (row + 1) * units, column * units : (column + 1) * units] = dense
    if whole is None:
        raise ValueError(f"no block of {parts} is given")
    return whole
