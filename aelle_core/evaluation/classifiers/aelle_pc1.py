"""The first AeLLE component, with a cut learned from known outcomes."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("AeLLE PC1")
class AellePC1(ScalarClassifier):
    """The first AeLLE component, with a cut learned from known outcomes."""

    kind = "spectrum"
    description = "First AeLLE component, cut at the best F1 on the networks that choose cuts"

    def feature(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.transform(examples.spectra)[:, 0]
