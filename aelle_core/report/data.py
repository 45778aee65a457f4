"""What a report shows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import Examples, Summary
from aelle_core.evaluation.tables.base import Table


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
    """

    title: str
    study: dict[str, Any]
    versions: dict[str, str]
    seeds: dict[str, Any]
    examples_by_epoch: dict[int, Examples]
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

    @property
    def last_epoch(self) -> int:
        """The last epoch of training."""
        return max(self.examples_by_epoch)

    @property
    def final(self) -> Examples:
        """The networks after the last epoch."""
        return self.examples_by_epoch[self.last_epoch]

    @property
    def good(self) -> np.ndarray:
        """Which of the final networks ended below the threshold."""
        return self.final.final_loss < self.threshold

    @property
    def known(self) -> frozenset[str]:
        """The networks that are not for testing."""
        return frozenset(map(str, self.final.networks)) - self.test_networks

    def stages(self, *shares: float) -> list[int]:
        """Return the epochs with spectra that are nearest to these shares of training, each once."""
        there = sorted(self.examples_by_epoch)
        return sorted({min(there, key=lambda epoch: abs(epoch - share * self.last_epoch)) for share in shares})

    @property
    def groups(self) -> tuple[str, np.ndarray] | None:
        """What sets the final networks apart, and each one's name for it: cells, or sizes of one cell."""
        for label, values in (("cell", self.final.cells), ("size", self.final.units)):
            if len(set(values.tolist())) > 1:
                return label, values.astype(str)
        return None
