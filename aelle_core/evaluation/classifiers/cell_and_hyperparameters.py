"""The cell's name and what was drawn for the network, without ever running it."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples

_ABSENT = -100.0  # a constant that a cell does not have, apart from any logarithm of one that it has


class ForestClassifier(Classifier):
    """A random forest on features of the networks; good where more than half of its votes are."""

    def prepare(self, train: NetworkExamples) -> None:
        """Learn what `features` needs: here the cells and the names of their hyperparameters."""
        self._cells, self._names = sorted(set(train.cells)), sorted(train.hyperparameters)
        self._sizes = len(set(train.units))

    def features(self, examples: NetworkExamples) -> np.ndarray:
        """(n, m): here the cell (one-hot) and the logarithms of the size, where it varies, and hyperparameters."""
        columns = [examples.cells == cell for cell in self._cells]
        if self._sizes > 1:
            columns.append(np.log(examples.units))
        for name in self._names:
            values = examples.hyperparameters.get(name, np.full(len(examples), np.nan))
            columns.append(np.nan_to_num(np.log(np.maximum(values, 1e-12)), nan=_ABSENT))
        return np.stack(columns, axis=1).astype(float)

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self.prepare(train)
        forest = RandomForestClassifier(100, random_state=self.seed)
        self._forest = forest.fit(self.features(train), train.final_loss < threshold)

    def score(self, examples: NetworkExamples) -> np.ndarray:
        position = list(self._forest.classes_).index(True) if True in self._forest.classes_ else None
        shares = self._forest.predict_proba(self.features(examples))
        return shares[:, position] if position is not None else np.zeros(len(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > 0.5


@classifiers.register("cell and hyperparameters")
class CellAndHyperparameters(ForestClassifier):
    """A random forest on the cell and what was drawn for the network."""

    kind = "baseline"
    uses_present = False
    description = "Random forest on cell, size, initial scale, learning rate and the constants of the equation"
