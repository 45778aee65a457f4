"""Ridge regression on the spectrum, its penalty chosen inside the training networks."""

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aelle_core.aelle.targets import Target
from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.classifiers.scalar import floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("ridge on spectrum")
class RidgeOnSpectrum(Classifier):
    """Ridge regression of the loss's rank on the exponents as AeLLE sees them, penalty by leave-one-out."""

    kind = "spectrum"
    description = "Ridge regression of the loss's rank on asinh of the exponents, penalty by cross-validation"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        target = Target.fitted("rank", train.final_loss)
        self._ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
        self._ridge.fit(self._features(train), target.standard(train.final_loss))
        self._cut = float(target.standard(np.array([threshold]))[0])

    def _features(self, examples: NetworkExamples) -> np.ndarray:
        return np.arcsinh(floored(examples, -40.0) / 0.05)

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self._ridge.predict(self._features(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > -self._cut
