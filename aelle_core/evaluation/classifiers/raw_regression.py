"""Linear regression of the final loss on the raw exponents."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import LossRegression, floored
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("linear on raw")
class RawRegression(LossRegression):
    """Linear regression of the final loss on the raw exponents."""

    kind = "spectrum"
    description = "Linear regression of the log loss on all exponents"

    def features(self, examples: NetworkExamples) -> np.ndarray:
        return floored(examples)
