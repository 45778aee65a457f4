"""The loss that the network has now."""

import numpy as np

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import ScalarClassifier
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("current loss")
class CurrentLoss(ScalarClassifier):
    """The loss that the network has now."""

    kind = "baseline"
    uses_loss = True
    description = "Validation loss at this epoch, cut at the best F1 on the networks that choose cuts"

    def feature(self, examples: NetworkExamples) -> np.ndarray:
        return np.nan_to_num(examples.loss, nan=np.finfo(float).max, posinf=np.finfo(float).max)
