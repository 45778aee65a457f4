"""Linear regression of the final loss on the AeLLE's latent code."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import LossRegression
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("linear on latent")
class LatentRegression(LossRegression):
    """Linear regression of the final loss on the AeLLE's latent code."""

    kind = "spectrum"
    description = "Linear regression of the log loss on the latent code"

    def features(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.encode(examples.spectra)
