"""What AeLLE regresses: the rank of a loss, its logarithm, or the loss."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.stats import rankdata

from aelle_core.foundation.errors import UserError

TargetName = Literal["rank", "log", "loss"]
TARGETS: tuple[str, ...] = get_args(TargetName)


@dataclass(frozen=True)
class Target:
    """A monotone map from losses (nats) to standardised targets, and back.

    losses     the different losses that were fitted, ascending
    positions  where each of them stands: its rank in [-1, 1], its logarithm, or itself
    mean, scale   of the positions over all fitted networks
    """

    name: TargetName
    losses: np.ndarray
    positions: np.ndarray
    mean: float
    scale: float

    @classmethod
    def fitted(cls, name: TargetName, losses: np.ndarray) -> "Target":
        """Return the map of these losses (n,). Raises UserError for a logarithm of losses that are not positive."""
        if name == "log" and losses.min() <= 0:
            raise UserError(f"losses go down to {losses.min():g}: target='log' expects them positive; or target='rank'")
        ranks = 2 * (rankdata(losses) - 0.5) / len(losses) - 1
        positions = {"rank": ranks, "log": np.log(np.maximum(losses, 1e-300)), "loss": losses}[name]
        known, first = np.unique(losses, return_index=True)
        scale = float(positions.std())
        return cls(name, known, positions[first], float(positions.mean()), scale if scale > 1e-12 else 1.0)

    def standard(self, losses: np.ndarray) -> np.ndarray:
        """Losses (n,) -> targets (n,) of mean 0 and deviation 1 over what was fitted."""
        if self.name == "rank":
            placed = np.interp(losses, self.losses, self.positions)
        else:
            placed = np.log(losses) if self.name == "log" else losses
        return (placed - self.mean) / self.scale

    def loss(self, standard: np.ndarray) -> np.ndarray:
        """Targets (n,) -> losses (n,) in nats, finite: a rank stays among the fitted losses, the others go no farther
        beyond them than these reach."""
        positions = standard * self.scale + self.mean
        if self.name == "rank":
            return np.interp(positions, self.positions, self.losses)
        low, high = self.positions[0], self.positions[-1]
        positions = np.clip(positions, low - (high - low), high + (high - low))
        return np.exp(positions) if self.name == "log" else positions

    @property
    def all(self) -> tuple[float, float]:
        """The lowest and the largest loss that was fitted."""
        return float(self.losses[0]), float(self.losses[-1])
