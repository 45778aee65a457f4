"""Linear regression of the final loss on principal components of the exponents."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import LossRegression, floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("linear on PCA")
class PCARegression(LossRegression):
    """Linear regression of the final loss on principal components of the exponents."""

    kind = "spectrum"
    description = "Linear regression of the log loss on the principal components that hold 95 % of the variance"

    def prepare(self, train: NetworkExamples) -> None:
        spectra = floored(train)
        self._pca = make_pipeline(StandardScaler(), PCA(0.95)).fit(spectra)

    def features(self, examples: NetworkExamples) -> np.ndarray:
        return self._pca.transform(floored(examples))
