"""The paper's classifier: the median of the first AeLLE component."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("AeLLE median")
class AelleMedian(Classifier):
    """Good where the first AeLLE component is below its median over the training networks' final spectra."""

    kind = "spectrum"
    description = "First AeLLE component below its median over the networks that the autoencoder was fitted to"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        """Do nothing: the AeLLE knows its median."""

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self.aelle.transform(examples.spectra)[:, 0]

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.predict_high_accuracy(examples.spectra)
