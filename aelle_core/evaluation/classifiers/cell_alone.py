"""The cell's name, and nothing else."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("cell alone")
class CellAlone(Classifier):
    """Good where more than half of the cell's training networks are."""

    kind = "baseline"
    uses_present = False
    description = "More than half of the same cell's training networks end well"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        good = train.final_loss < threshold
        self._share = {cell: good[train.cells == cell].mean() for cell in np.unique(train.cells)}

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return np.array([self._share.get(cell, 0.5) for cell in examples.cells])

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > 0.5
