"""Jacobians as products, where a sum in float64 would lose digits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aelle_core.cells import Blocks
from aelle_core.cells.blocks import Through
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, OnBlocks, rows_finite
from aelle_core.lyapunov.kernels.rounding import Rounding


@dataclass(frozen=True)
class FactoredJacobians(OnBlocks):
    """J = (I + F) G: G are the blocks' own terms, and F carries new parts into others, as h' = o tanh(c') needs c'.

    own      G, of the whole state
    through  (row, row that it goes through, slopes (trajectories, steps, units), matrices (networks, units, units) or
             None) of the blocks diag(slopes) matrix of F
    kept     size of J; less than the state's where only the first parts count
    """

    through: tuple[tuple[int, int, Tensor, Tensor | None], ...]
    kept: int

    @classmethod
    def of_blocks(cls, blocks: Blocks, parts: Sequence[str], kept: int, units: int, steps: int) -> "FactoredJacobians":
        """From a cell's blocks among all `parts`, of which the first `kept` count."""
        ways: dict[str, Through] = {
            new: block.through for (new, _), block in blocks.items() if block.through is not None
        }
        own = BlockJacobians.of_own(blocks, parts, units, steps)
        through = tuple(
            (parts.index(new), parts.index(way.part), way.slopes.reshape(own.trajectories, steps, units), way.matrix)
            for new, way in ways.items()
        )
        return cls(own, through, kept * units)

    @property
    def size(self) -> int:
        return self.kept

    def disturbed(self, rounding: Rounding, *, floor: bool) -> "FactoredJacobians":
        """Return what `BlockJacobians.disturbed` returns, with F disturbed too."""
        own = self.own.disturbed(rounding, floor=floor)
        through = tuple(
            (row, by, rounding.disturbed(slopes, len(own.matrices)), matrix) for row, by, slopes, matrix in self.through
        )
        return replace(self, own=own, through=through)

    def at(self, step: int | Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the Jacobians of one step as dense matrices (trajectories, kept, kept), where float64 holds them; see
        `BlockJacobians.at`."""
        whole, units = self.own.at(step, chosen), self.own.units
        for row, by, slopes, matrix in self.through:
            carried = whole[:, by * units : (by + 1) * units].clone()
            if matrix is not None:
                carried = (matrix.unsqueeze(1) @ carried.unflatten(0, (len(matrix), -1))).flatten(0, 1)
            whole[:, row * units : (row + 1) * units] += slopes[chosen, step].unsqueeze(-1) * carried
        return whole[:, : self.kept, : self.kept]

    def log_volumes(self, step: int | Tensor, chosen: Tensor) -> Tensor:
        """Return log |det J| of the chosen trajectories, (trajectories,), as many of every network. I + F is triangular
        with a unit diagonal: where the whole state counts, log |det G|."""
        if self.kept == self.own.size:
            return self.own.log_volumes(step, chosen)
        return torch.linalg.slogdet(self.at(step, chosen)).logabsdet

    def finite(self) -> Tensor:
        """(trajectories,) whether every number that changes from step to step is finite."""
        finite = self.own.finite()
        for _, _, slopes, _ in self.through:
            finite = finite & rows_finite(slopes)
        return finite
