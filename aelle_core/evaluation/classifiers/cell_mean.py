"""The mean outcome of the cell, and nothing else."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("mean of the cell")
class CellMean(Classifier):
    """Good where the mean log loss of the cell's training networks is below the threshold; for a cell never seen, that
    of all training networks."""

    kind = "baseline"
    uses_present = False
    description = "Mean log loss of the same cell's training networks, below the threshold"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        logs = np.log(train.final_loss)
        self._all = float(logs.mean())
        self._means = {cell: float(logs[train.cells == cell].mean()) for cell in np.unique(train.cells)}
        self._cut = float(np.log(threshold))

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -np.array([self._means.get(cell, self._all) for cell in examples.cells])

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > -self._cut
