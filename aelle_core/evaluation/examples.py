"""Networks at one epoch, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aelle_core.foundation.errors import UserError


@dataclass(frozen=True, eq=False)
class NetworkExamples:
    """One row per network at one epoch.

    spectra          (n, D) nats per step, may hold -inf
    loss             (n,) validation loss at this epoch, nats
    final_loss       (n,) what is to be predicted, less is better: the validation loss after the last epoch, or, where
                     `goal` names a measure of free runs, that measure then (as Measure.as_loss gives it)
    accuracy         (n,) validation accuracy after the last epoch
    cells, networks  (n,) names
    units            (n,) hidden units
    hyperparameters  name -> (n,), NaN where a cell has no such constant
    """

    spectra: np.ndarray
    loss: np.ndarray
    final_loss: np.ndarray
    accuracy: np.ndarray
    cells: np.ndarray
    units: np.ndarray
    hyperparameters: dict[str, np.ndarray]
    networks: np.ndarray
    epoch: int
    goal: str = "loss"

    def __post_init__(self) -> None:
        names = (self.cells, self.units, self.networks)
        columns = (self.loss, self.final_loss, self.accuracy, *names, *self.hyperparameters.values())
        if self.spectra.ndim != 2 or any(len(column) != len(self.spectra) for column in columns):
            lengths = [len(column) for column in columns]
            raise UserError(f"examples: spectra {self.spectra.shape} with columns of lengths {lengths}: expected equal")

    def __len__(self) -> int:
        return len(self.networks)

    def select(self, chosen: np.ndarray) -> "NetworkExamples":
        """Return the networks chosen by a mask (networks,) or by indices (chosen,)."""
        return NetworkExamples(
            self.spectra[chosen],
            self.loss[chosen],
            self.final_loss[chosen],
            self.accuracy[chosen],
            self.cells[chosen],
            self.units[chosen],
            {name: values[chosen] for name, values in self.hyperparameters.items()},
            self.networks[chosen],
            self.epoch,
            self.goal,
        )

    def with_rows(self, other: "NetworkExamples") -> "NetworkExamples":
        """Return these rows and those of `other`, of the same epoch and hyperparameters."""
        return NetworkExamples(
            np.concatenate([self.spectra, other.spectra]),
            np.concatenate([self.loss, other.loss]),
            np.concatenate([self.final_loss, other.final_loss]),
            np.concatenate([self.accuracy, other.accuracy]),
            np.concatenate([self.cells, other.cells]),
            np.concatenate([self.units, other.units]),
            {
                name: np.concatenate([values, other.hyperparameters[name]])
                for name, values in self.hyperparameters.items()
            },
            np.concatenate([self.networks, other.networks]),
            self.epoch,
            self.goal,
        )

    def of(self, networks: frozenset[str]) -> "NetworkExamples":
        """Return the rows of the named networks."""
        return self.select(np.isin(self.networks, sorted(networks)))


def all_networks(examples: Mapping[int, NetworkExamples]) -> NetworkExamples:
    """Return every network once: those after the last epoch, and those that diverged earlier as they last were."""
    latest, *earlier = (present for _, present in sorted(examples.items(), reverse=True))
    for present in earlier:
        latest = latest.with_rows(present.select(~np.isin(present.networks, latest.networks)))
    return latest


def origins(examples: NetworkExamples) -> np.ndarray:
    """Return where networks of joint studies are from, (n,): the system where they forecast several, else the study;
    empty for networks of a single study."""
    return np.array([network.partition("/")[0] if "/" in network else "" for network in map(str, examples.networks)])


def median_threshold(final_loss: np.ndarray) -> float:
    """Return the median of the final losses (networks,): a network below it has ended well."""
    return float(np.median(final_loss))


def good_fraction_by_cell(examples: NetworkExamples, threshold: float) -> dict[str, float]:
    """Return for each cell the share of its networks that end below the threshold."""
    return {
        str(cell): float((examples.final_loss[examples.cells == cell] < threshold).mean())
        for cell in dict.fromkeys(examples.cells)
    }
