"""The autoencoder's own linear predictor of the loss."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("AeLLE predictor")
class AellePredictor(Classifier):
    """Good where the loss that the autoencoder predicts is below the threshold."""

    kind = "spectrum"
    description = "The loss predicted by the autoencoder's linear predictor, below the threshold"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self._threshold = threshold

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self.aelle.predict(examples.spectra)

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.predict(examples.spectra) < self._threshold
