"""Jacobians of many trajectories over a stretch of time, in whatever structure they have."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from aelle_core.cells import Blocks
from aelle_core.cells.blocks import merged
from aelle_core.lyapunov.kernels.columns import ColumnTerms, Places
from aelle_core.lyapunov.kernels.rounding import Rounding, around_one


class Jacobians(Protocol):
    """What the engine asks of `steps` steps of many trajectories."""

    @property
    def steps(self) -> int: ...

    def push(self, step: int, tangents: Tensor) -> Tensor:
        """J Q for tangents Q (trajectories, size, k)."""
        ...


@dataclass(frozen=True)
class BlockJacobians:
    """Jacobians (size, size) as grids of (units, units) blocks, each a sum of terms that stand at their places:

    diag(factor) matrix    factors (trajectories, steps, terms, units), matrices (networks, terms, units, units);
                           the trajectories of one network, which follow one another, share them
    dense                  (trajectories, steps, terms, units, units)
    diagonals              (trajectories, steps, terms, units)
    columns                see `ColumnTerms`; None where there are none

    Matrices and dense terms are kept TRANSPOSED, which is how the compiled kernel reads them.
    """

    size: int
    units: int
    matrices: Tensor
    factors: Tensor
    factor_positions: Places
    dense: Tensor
    dense_positions: Places
    diagonals: Tensor
    diagonal_positions: Places
    columns: ColumnTerms | None = None

    @classmethod
    def of_dense(cls, transposed: Tensor) -> "BlockJacobians":
        """From transposed Jacobians (trajectories, steps, size, size): entry [.., j, i] is d state_i / d state_j."""
        trajectories, steps, size = transposed.shape[:3]
        nothing = transposed.new_zeros(trajectories, steps, 0, size)
        matrices = transposed.new_zeros(1, 0, size, size)
        whole = transposed.contiguous().unsqueeze(2)
        return cls(size, size, matrices, nothing, (), whole, ((0, 0),), nothing, ())

    @classmethod
    def of_blocks(cls, blocks: Blocks, parts: Sequence[str], units: int, steps: int) -> "BlockJacobians":
        """From a cell's blocks among `parts`, whose batch runs over sequences and, within each, over `steps`."""
        return cls.of_own(merged(blocks, parts), parts, units, steps)

    @classmethod
    def of_own(cls, blocks: Blocks, parts: Sequence[str], units: int, steps: int) -> "BlockJacobians":
        """Return the same of what the blocks themselves hold, without what goes `through` others."""
        matrices: list[Tensor] = []
        terms: dict[str, list[Tensor]] = {"factors": [], "dense": [], "diagonals": []}
        positions: dict[str, list[tuple[int, int]]] = {"factors": [], "dense": [], "diagonals": []}
        columns = {
            (parts.index(new), parts.index(old)): block.columns
            for (new, old), block in blocks.items()
            if block.columns is not None
        }
        for (new, old), block in blocks.items():
            kept = {
                "factors": block.slopes,
                "dense": None if block.dense is None else block.dense().mT.unsqueeze(2),
                "diagonals": None if block.diagonal is None else block.diagonal.unsqueeze(2),
            }
            if block.matrices is not None:
                matrices.append(block.matrices.mT)
            for kind, tensor in kept.items():
                if tensor is not None:
                    terms[kind].append(tensor)
                    positions[kind] += [(parts.index(new), parts.index(old))] * tensor.shape[2]
        given = [tensor for kind in terms.values() for tensor in kind]
        like = given[0] if given else next(iter(columns.values())).factors
        networks, batch = like.shape[:2]

        def joined(kind: str, *shape: int) -> Tensor:
            of_kind = terms[kind]
            if len(of_kind) == 1:
                whole = of_kind[0]  # cat would copy it
            else:
                whole = torch.cat(of_kind, dim=2) if of_kind else like.new_zeros(networks, batch, 0, *shape)
            return whole.reshape(networks * batch // steps, steps, whole.shape[2], *shape).contiguous()

        return cls(
            size=len(parts) * units,
            units=units,
            matrices=torch.cat(matrices, dim=1).contiguous() if matrices else like.new_zeros(networks, 0, units, units),
            factors=joined("factors", units),
            factor_positions=tuple(positions["factors"]),
            dense=joined("dense", units, units),
            dense_positions=tuple(positions["dense"]),
            diagonals=joined("diagonals", units),
            diagonal_positions=tuple(positions["diagonals"]),
            columns=ColumnTerms.of_blocks(columns, steps) if columns else None,
        )

    def disturbed(self, rounding: Rounding, *, floor: bool) -> "BlockJacobians":
        """Disturb every summand in all rows but the plain ones, before they are summed, so that sums which cancel
        show. With `floor`, factors that have underflowed to nothing are made as small as can be instead, so that
        what hangs on them shows."""
        by_row = (len(self.matrices), rounding.rows)

        def of(terms: Tensor, least: float) -> Tensor:
            if not terms.numel():
                return terms
            changed = terms.unflatten(0, by_row).clone()
            second = changed[:, rounding.plain :]
            factors = around_one(torch.empty_like(second), rounding.size, rounding.generator)
            second.mul_(factors)
            if least:
                second.copy_(torch.where(second.abs() < least, least, second))
            return changed.flatten(0, 1)

        least = 1e-290 if floor else 0.0
        return replace(
            self,
            factors=of(self.factors, least),
            dense=of(self.dense, 0.0),
            diagonals=of(self.diagonals, least),
            columns=None if self.columns is None else self.columns.disturbed(lambda terms: of(terms, least)),
        )

    @property
    def trajectories(self) -> int:
        return self.factors.shape[0]

    @property
    def dense_columns(self) -> int:
        """From this column on, nothing but diagonals stands in the blocks."""
        places = (*self.factor_positions, *self.dense_positions, *(self.columns.places if self.columns else ()))
        return self.units * max((column + 1 for _, column in places), default=0)

    @property
    def steps(self) -> int:
        return self.factors.shape[1]

    def at(self, step: int | Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the Jacobians of one step as dense matrices (trajectories, size, size): all, or those chosen, as many
        of every network, each at the same step or each at another."""
        factors, dense, diagonals = (term[chosen, step] for term in (self.factors, self.dense, self.diagonals))
        whole = factors.new_zeros(len(factors), self.size, self.size)
        networks = self.matrices.shape[0]
        shared = whole.unflatten(0, (networks, -1))

        def block(matrix: Tensor, position: tuple[int, int]) -> Tensor:
            row, column = (self.units * number for number in position)
            return matrix[..., row : row + self.units, column : column + self.units]

        for term, position in enumerate(self.factor_positions):
            scale = factors[:, term].unflatten(0, (networks, -1)).unsqueeze(-1)
            block(shared, position).addcmul_(scale, self.matrices[:, term].mT.unsqueeze(1))
        for term, position in enumerate(self.dense_positions):
            block(whole, position).add_(dense[:, term].mT)
        for term, position in enumerate(self.diagonal_positions):
            block(whole, position).diagonal(dim1=-2, dim2=-1).add_(diagonals[:, term])
        if self.columns is not None:
            self.columns.add_to(lambda position: block(shared, position), step, chosen)
        return whole

    def push(self, step: int, tangents: Tensor) -> Tensor:
        return self.at(step).to(tangents.dtype) @ tangents

    def log_volumes(self, step: int | Tensor, chosen: Tensor) -> Tensor:
        """Return log |det J| of the chosen trajectories, (trajectories,), as many of every network, at a step or at one
        each."""
        return torch.linalg.slogdet(self.at(step, chosen)).logabsdet

    def finite(self) -> Tensor:
        """(trajectories,) whether every number that changes from step to step is finite; matrices are the networks'."""
        finite = rows_finite(self.factors) & rows_finite(self.dense) & rows_finite(self.diagonals)
        if self.columns is not None:
            finite &= rows_finite(self.columns.factors) & rows_finite(self.columns.rights)
        return finite


@dataclass(frozen=True)
class OnBlocks(ABC):
    """Products of matrices of which one is made of blocks, `own`."""

    own: BlockJacobians

    @property
    def trajectories(self) -> int:
        return self.own.trajectories

    @property
    def steps(self) -> int:
        return self.own.steps

    @property
    def matrices(self) -> Tensor:
        return self.own.matrices

    @abstractmethod
    def at(self, step: int | Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the Jacobians of one step as dense matrices (trajectories, size, size); see `BlockJacobians.at`."""

    def push(self, step: int, tangents: Tensor) -> Tensor:
        return self.at(step).to(tangents.dtype) @ tangents


def rows_finite(numbers: Tensor) -> Tensor:
    """Return whether all numbers of a row are finite, (rows,), for numbers (rows, ...). A sum reads them once and makes
    no copy."""
    return numbers.flatten(1).sum(dim=1).isfinite()


@dataclass(frozen=True)
class PushedJacobians:
    """Jacobians that are never made: only their products with tangents are. push(step, tangents) gives J Q."""

    steps: int
    along: Callable[[int, Tensor], Tensor]

    def push(self, step: int, tangents: Tensor) -> Tensor:
        return self.along(step, tangents)
