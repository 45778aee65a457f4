"""What a measure of free runs is: a number for each network, from its runs and from data that it has not seen."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry


@dataclass(frozen=True, eq=False)
class FreeRuns:
    """What networks of a pack made of held-out data.

    runs      (networks, sequences, steps, features): outputs of each network on its own output. A run that has left the
              finite numbers holds NaN or infinity from there on
    data      (sequences, steps, features): the held-out continuation of each sequence, step by step what should come
    interval  units of the system's time between two steps; 1 where no system is known
    rate      the system's largest exponent, in nats per unit of time; None where it is not known

    Features count alike: they should be standardised, by the data that the networks were trained on. Raises UserError
    on shapes that do not fit.
    """

    runs: np.ndarray
    data: np.ndarray
    interval: float = 1.0
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.runs.ndim != 4 or self.data.ndim != 3 or self.runs.shape[1:] != self.data.shape:
            raise UserError(
                f"free runs {self.runs.shape} with data {self.data.shape}: expected (networks, sequences, steps, "
                "features) and (sequences, steps, features)"
            )
        if not np.isfinite(self.data).all():
            raise UserError(f"data {self.data.shape} of free runs hold NaN or infinity: expected finite numbers")

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation of each feature of the data, (features,)."""
        return self.data.reshape(-1, self.data.shape[-1]).std(axis=0)


class Measure(ABC):
    """One number for each network.

    description  what it is, in a few words, as an axis is labelled
    higher       whether more is better
    source       paper and equation
    """

    name: ClassVar[str]
    description: ClassVar[str]
    higher: ClassVar[bool] = False
    source: ClassVar[str]

    @staticmethod
    @abstractmethod
    def of(runs: FreeRuns) -> np.ndarray:
        """Return the measure of every network, (networks,)."""

    @classmethod
    def as_loss(cls, values: np.ndarray) -> np.ndarray:
        """Return the measure, (networks,), as a positive number of which less is better, as losses are: itself, or 1 /
        (1 + it)."""
        values = np.asarray(values, dtype=float)
        return 1 / (1 + values) if cls.higher else values


measures: Registry[Measure] = Registry("measure of free runs", "aelle_core.evaluation.free_runs")


def measure_all(runs: FreeRuns, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return every registered measure, or those named, by name: (networks,) each. Raises UserError on unknown names."""
    return {name: measures[name].of(runs) for name in (measures if names is None else names)}
