"""Terms of Jacobians whose columns change from step to step, while what stands before them stays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aelle_core.cells.blocks import Columns

Places = tuple[tuple[int, int], ...]
"""(block row, block column) of each term."""


@dataclass(frozen=True)
class ColumnTerms:
    """Terms that stand at their places in a grid of (units, units) blocks:

    matrix diag(factor)    factors (trajectories, steps, terms, units), matrices (networks, terms, units, units), which
                           are kept TRANSPOSED
    left right^T           rights (trajectories, steps, terms, units), lefts (networks, terms, units)

    The trajectories of one network, which follow one another, share its matrices and lefts.
    """

    matrices: Tensor
    factors: Tensor
    positions: Places
    lefts: Tensor
    rights: Tensor
    outer_positions: Places

    @classmethod
    def of_blocks(cls, blocks: Mapping[tuple[int, int], Columns], steps: int) -> "ColumnTerms":
        """From a cell's blocks by their places, whose batch runs over sequences and, within each, over `steps`."""
        like = next(iter(blocks.values())).factors
        networks, batch, _, units = like.shape
        trajectories = networks * batch // steps

        def along(terms: list[Tensor]) -> Tensor:
            whole = torch.cat([like[:, :, :0], *terms], dim=2)
            return whole.reshape(trajectories, steps, whole.shape[2], units).contiguous()

        outer = {place: block for place, block in blocks.items() if block.rights is not None}
        matrices = [block.matrices.mT for block in blocks.values()]
        return cls(
            torch.cat(matrices, dim=1).contiguous(),
            along([block.factors for block in blocks.values()]),
            tuple(place for place, block in blocks.items() for _ in range(block.factors.shape[2])),
            torch.cat([like[:, 0, :0], *(block.lefts for block in outer.values() if block.lefts is not None)], dim=1),
            along([block.rights for block in outer.values() if block.rights is not None]),
            tuple(place for place, block in outer.items() if block.rights is not None for _ in block.rights[0, 0]),
        )

    @property
    def places(self) -> Places:
        """The place of every term."""
        return (*self.positions, *self.outer_positions)

    def disturbed(self, change: Callable[[Tensor], Tensor]) -> "ColumnTerms":
        """Return the same with what changes from step to step, (trajectories, steps, terms, units), as `change` makes
        it."""
        return replace(self, factors=change(self.factors), rights=change(self.rights))

    def add_to(
        self, block: Callable[[tuple[int, int]], Tensor], step: int | Tensor, chosen: Tensor | slice = slice(None)
    ) -> None:
        """Add the terms of one step of the chosen trajectories to blocks (networks, trajectories, units, units)."""
        factors, rights = (
            terms[chosen, step].unflatten(0, (len(self.matrices), -1)) for terms in (self.factors, self.rights)
        )
        for term, position in enumerate(self.positions):
            block(position).addcmul_(factors[:, :, term].unsqueeze(-2), self.matrices[:, term].mT.unsqueeze(1))
        for term, position in enumerate(self.outer_positions):
            block(position).addcmul_(rights[:, :, term].unsqueeze(-2), self.lefts[:, term, None, :, None])
