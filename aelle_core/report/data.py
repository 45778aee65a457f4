"""What a report shows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.aelle import AeLLE
from aelle_core.evaluation import Examples, Summary


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything the figures and the page are drawn from. Spectra in nats per step; `loss_name` says what losses are,
    as an axis is labelled, `threshold_origin` where the threshold comes from, in a few words."""

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
