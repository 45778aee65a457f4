"""The maximum Lyapunov exponent."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier, floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("LE max")
class LEMax(ScalarClassifier):
    """The maximum Lyapunov exponent."""

    kind = "spectrum"
    description = "Largest exponent, cut at the best F1 on the networks that choose cuts"

    def feature(self, examples: NetworkExamples) -> np.ndarray:
        return floored(examples).max(axis=1)
