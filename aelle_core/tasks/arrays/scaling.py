"""Standardisation: means and standard deviations, learned from the training part alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aelle_core.foundation.errors import UserError


@dataclass(frozen=True)
class Scaling:
    """(value - mean) / deviation for each column, by name."""

    names: tuple[str, ...]
    means: np.ndarray
    deviations: np.ndarray

    @classmethod
    def learned(cls, names: Sequence[str], values: np.ndarray) -> "Scaling":
        """Return the scaling of the training part's rows (rows, columns). Raises UserError where a column does not
        change."""
        means, deviations = values.mean(axis=0), values.std(axis=0)
        still = np.flatnonzero(deviations <= 1e-12 * np.abs(means))
        if len(still):
            raise UserError(
                f"arrays: {names[still[0]]!r} is {means[still[0]]:g} in the whole training part: expected one that "
                "changes; leave it out"
            )
        return cls(tuple(names), means, deviations)

    @classmethod
    def none(cls, names: Sequence[str]) -> "Scaling":
        """Return the scaling that changes nothing."""
        return cls(tuple(names), np.zeros(len(names)), np.ones(len(names)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return (values - self.means) / self.deviations

    def statement(self) -> dict[str, list[float]]:
        """Return mean and standard deviation by column, as JSON can hold them."""
        columns = zip(self.names, self.means.tolist(), self.deviations.tolist(), strict=True)
        return {name: [mean, deviation] for name, mean, deviation in columns}
