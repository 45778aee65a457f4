"""Statistics of the spectrum cut at their medians: the paper's rule in sections 4.1 to 4.3."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.le_max import LEMax
from aelle_core.evaluation.classifiers.le_mean import LEMean
from aelle_core.evaluation.classifiers.le_pc1 import LEPC1
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier
from aelle_core.evaluation.examples import NetworkExamples


class AtMedian(ScalarClassifier):
    """The number of another classifier, cut at its median over the training networks, on the side where these end
    better."""

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        super().fit(train, validation, threshold)
        self._cut = float(np.median(self.score(train)))


@classifiers.register("LE mean, median")
class LEMeanMedian(AtMedian, LEMean):
    """The mean exponent at its median."""

    description = "Mean exponent, cut at its median over the training networks"


@classifiers.register("LE max, median")
class LEMaxMedian(AtMedian, LEMax):
    """The largest exponent at its median."""

    description = "Largest exponent, cut at its median over the training networks"


@classifiers.register("LE PC1, median")
class LEPC1Median(AtMedian, LEPC1):
    """The first principal component of the exponents at its median."""

    description = "First principal component of the exponents, cut at its median over the training networks"
