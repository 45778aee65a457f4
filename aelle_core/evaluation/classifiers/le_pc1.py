"""The first principal component of the raw exponents."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier, floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("LE PC1")
class LEPC1(ScalarClassifier):
    """The first principal component of the raw exponents."""

    kind = "spectrum"
    description = "First principal component of the exponents, cut at the best F1 on the networks that choose cuts"

    def prepare(self, train: NetworkExamples) -> None:
        spectra = floored(train)
        self._pca = make_pipeline(StandardScaler(), PCA(1)).fit(spectra)

    def feature(self, examples: NetworkExamples) -> np.ndarray:
        return self._pca.transform(floored(examples))[:, 0]
