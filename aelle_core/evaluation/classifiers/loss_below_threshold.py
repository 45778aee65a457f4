"""The paper's other predictor: the loss, as it is now, against the threshold."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("loss below threshold")
class LossBelowThreshold(Classifier):
    """Good where the loss is below the threshold already: nothing is learned.

    Where a good network is not one of low loss, the loss is cut so that as many training networks are called good as
    are. Precise from the start, and blind to every network that has not got there yet. Vogt et al. 2024, table 1.
    """

    kind = "baseline"
    uses_loss = True
    description = "Validation loss at this epoch, below the threshold already"

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self._threshold = threshold
        if train.goal != "loss":  # the threshold is another quantity's: the same share of networks is called good
            losses = np.nan_to_num(train.loss, nan=np.finfo(float).max, posinf=np.finfo(float).max)
            self._threshold = float(np.quantile(losses, (train.final_loss < threshold).mean()))

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -np.nan_to_num(examples.loss, nan=np.finfo(float).max, posinf=np.finfo(float).max)

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > -self._threshold
