"""Which parts of the networks train, choose cuts and test, task by task, as in the paper."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError


@dataclass(frozen=True)
class Shares:
    """The parts of the networks that train, that choose cuts (none: the training networks do), and that test.

    Raises UserError where they are no parts of a whole, and where nothing would train or test.
    """

    training: float
    validation: float
    test: float

    def __post_init__(self) -> None:
        parts = (self.training, self.validation, self.test)
        fitting = all(0 <= part < 1 for part in parts) and math.isclose(sum(parts), 1)
        if not (fitting and self.training > 0 and self.test > 0):
            raise UserError(
                f"shares {parts} for training, validation and test: expected parts from 0 to 1 that add up to 1, with "
                "some for training and some for test"
            )

    def __str__(self) -> str:
        return ", ".join(f"{100 * part:g}" for part in (self.training, self.validation) if part) + (
            f" and {100 * self.test:g} %"
        )

    @property
    def cutting(self) -> str:
        """The part that chooses cuts."""
        return "validation" if self.validation else "training"

    def check(self, networks: int) -> None:
        """Raise UserError where so few networks leave none for training; the other parts are rounded up."""
        if not self._leave_some(networks):
            least = next(count for count in itertools.count(2) if self._leave_some(count))
            raise UserError(f"{counted(networks, 'network')} cannot be split into {self}: expected at least {least}")

    def _leave_some(self, networks: int) -> bool:
        remaining = networks - math.ceil(self.test * networks)
        return remaining - math.ceil(self.validation / (1 - self.test) * remaining) > 0


@dataclass(frozen=True)
class Protocol:
    """How networks are split for predictions at the end of training, and for those in its first half."""

    end: Shares = Shares(0.7, 0.1, 0.2)
    early: Shares = Shares(0.2, 0.2, 0.6)


PROTOCOLS: Mapping[str, Protocol] = {
    "target_learning": Protocol(end=Shares(0.8, 0, 0.2)),
    "charlm": Protocol(end=Shares(0.8, 0, 0.2)),
    "smnist": Protocol(end=Shares(0.7, 0.1, 0.2)),
}
"""The paper's, by task. Vogt et al. 2024, sections 4.1 to 4.4."""


def protocol_of(task: str) -> Protocol:
    """Return the paper's splits for this task; those for row-wise sequential MNIST where the paper does not have it."""
    return PROTOCOLS.get(task, Protocol())
