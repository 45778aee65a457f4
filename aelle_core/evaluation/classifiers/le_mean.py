"""The mean Lyapunov exponent."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier, floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("LE mean")
class LEMean(ScalarClassifier):
    """The mean Lyapunov exponent."""

    kind = "spectrum"
    description = "Mean exponent, cut at the best F1 on the networks that choose cuts"

    def feature(self, examples: NetworkExamples) -> np.ndarray:
        return floored(examples).mean(axis=1)
