"""What a report shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import NetworkExamples, Summary, epoch_of_outcome
from aelle_core.evaluation.tables.base import Table


@dataclass(frozen=True, eq=False)
class FreeRun:
    """One network on its own output: its name, its outcome by the study's goal (less is better), and its outputs
    (steps, features), standardised; NaN or infinity from where they left the finite numbers."""

    network: str
    outcome: float
    outputs: np.ndarray


@dataclass(frozen=True, eq=False)
class ShownRuns:
    """What should have come after the context, (steps, features), and what a good and a bad network made of it."""

    data: np.ndarray
    good: FreeRun
    bad: FreeRun


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything the figures and the page are drawn from. Spectra are in nats per step.

    examples_by_epoch      the networks after each epoch that has spectra, the last one among them
    aelle, test_networks   the model of the first split, and the networks that it has not seen
    threshold              the final loss below which a network ended well; `threshold_origin`, in a few words, why
    loss_name              what losses are, with their unit, as an axis is labelled
    summaries              every metric of every classifier at every epoch
    good_fraction_by_cell  the share of each cell's networks that ended well
    illustration           what the task looks like: labels with arrays (steps,) or (steps, features); or, in one
                           sentence, why it cannot be shown
    status_counts          how many networks ended with which status
    free_runs              networks on their own output beside the data; or, in one sentence, why none are shown
    system_exponents       published exponents of the system that is forecast, by rank (from 0), nats per step
    exponent_unit          the unit of the networks' exponents
    """

    title: str
    study: dict[str, Any]
    versions: dict[str, str]
    seeds: dict[str, Any]
    examples_by_epoch: dict[int, NetworkExamples]
    aelle: AeLLE
    test_networks: frozenset[str]
    threshold: float
    threshold_origin: str
    loss_name: str
    summaries: list[Summary]
    classifier_descriptions: dict[str, str]
    verdicts: list[str]
    good_fraction_by_cell: dict[str, float]
    tables: list[Table]
    illustration: list[tuple[str, np.ndarray]] | str
    status_counts: dict[str, int]
    data_location: str
    command: str
    free_runs: ShownRuns | str = "No checkpoints were asked for: networks cannot be run again."
    system_exponents: Mapping[int, float] = field(default_factory=dict)
    exponent_unit: str = "nats per step"

    @property
    def last_epoch(self) -> int:
        """The last epoch of training."""
        return max(self.examples_by_epoch)

    @property
    def outcome_epoch(self) -> int | None:
        """The epoch at which the current loss is the outcome itself; None where there is none."""
        return epoch_of_outcome(self.final.goal, self.last_epoch)

    @property
    def final(self) -> NetworkExamples:
        """The networks after the last epoch."""
        return self.examples_by_epoch[self.last_epoch]

    @property
    def good(self) -> np.ndarray:
        """Return which of the final networks ended below the threshold, (networks,)."""
        return self.final.final_loss < self.threshold

    @property
    def outcome_name(self) -> str:
        """What `final_loss` is, as an axis is labelled."""
        return f"final {'validation ' if self.final.goal == 'loss' else ''}{self.loss_name}"

    @property
    def without_free_runs(self) -> str | None:
        """Why figures of free runs have no place in this report; None where the study's goal is one of them."""
        return "The study's goal is the loss, not a free run." if self.final.goal == "loss" else None

    @property
    def known(self) -> frozenset[str]:
        """The networks that are not for testing."""
        return frozenset(map(str, self.final.networks)) - self.test_networks

    def stages(self, *shares: float) -> list[int]:
        """Return the epochs with spectra that are nearest to these shares of training, each once."""
        epochs = sorted(self.examples_by_epoch)
        return sorted({min(epochs, key=lambda epoch: abs(epoch - share * self.last_epoch)) for share in shares})

    @property
    def groups(self) -> tuple[str, np.ndarray] | None:
        """Return what sets the final networks apart, cells or sizes of one cell, and each network's name for it,
        (networks,)."""
        for label, values in (("cell", self.final.cells), ("size", self.final.units)):
            if len(set(values.tolist())) > 1:
                return label, values.astype(str)
        return None
