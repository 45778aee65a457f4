"""A straight line on the AeLLE plane."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("AeLLE hyperplane")
class AelleHyperplane(Classifier):
    """A line between good and bad on the AeLLE plane (the first two components), by logistic regression."""

    kind = "spectrum"
    description = "Logistic regression on the first two AeLLE components"

    def _plane(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.transform(examples.spectra)[:, :2]

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        features, good = self._plane(train), train.final_loss < threshold
        if good.all() or not good.any():  # no line where there is one side only
            self._line: Pipeline | None = None
            self._constant = float(good.all()) - 0.5
            return
        self._line = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, good)

    def score(self, examples: NetworkExamples) -> np.ndarray:
        if self._line is None:
            return np.full(len(examples), self._constant)
        return self._line.decision_function(self._plane(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > 0
