"""An ellipse on the AeLLE plane."""

import numpy as np
from sklearn.covariance import EmpiricalCovariance

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.classifiers.scalar import best_f1_cut
from aelle_core.evaluation.examples import NetworkExamples


@classifiers.register("AeLLE hyperellipse")
class AelleHyperellipse(Classifier):
    """Good within an ellipse around the good training networks on the AeLLE plane (the first two components).

    Centre and axes are their mean and covariance, so the ellipse is a line of equal Mahalanobis distance; its size is
    the one with the best F1 on the validation networks, or, where there are none, on the training networks.
    """

    kind = "spectrum"
    description = (
        "Mahalanobis distance to the good training networks on the AeLLE plane, cut at the best F1 on the networks "
        "that choose cuts"
    )

    def _plane(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.transform(examples.spectra)[:, :2]

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        plane, good = self._plane(train), train.final_loss < threshold
        # Two points span no ellipse: with fewer than three good networks all stand for them.
        self._ellipse = EmpiricalCovariance().fit(plane[good] if good.sum() > 2 else plane)
        cutting = validation if len(validation) else train
        self._cut = best_f1_cut(self.score(cutting), cutting.final_loss < threshold)

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self._ellipse.mahalanobis(self._plane(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) >= self._cut
