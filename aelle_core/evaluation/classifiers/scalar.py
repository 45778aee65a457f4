"""What classifiers of one number share: its direction from training networks, its cut from those that choose cuts."""

from abc import abstractmethod

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import precision_recall_curve

from aelle_core.evaluation.classifiers.base import Classifier
from aelle_core.evaluation.examples import NetworkExamples


class ScalarClassifier(Classifier):
    """One number for each network; the cut is the one with the best F1 on the validation networks, or, where
    there are none, on the training networks."""

    @abstractmethod
    def feature(self, examples: NetworkExamples) -> np.ndarray:
        """(n,) the number, finite."""

    def prepare(self, train: NetworkExamples) -> None:
        """Learn what `feature` needs."""

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self.prepare(train)
        values = self.feature(train)
        correlation = spearmanr(values, train.final_loss).statistic if np.ptp(values) > 0 else 0.0
        self._sign = -1.0 if correlation > 0 else 1.0
        cutting = validation if len(validation) else train
        self._cut = best_f1_cut(self.score(cutting), cutting.final_loss < threshold)

    @property
    def boundary(self) -> float:
        """The number at the cut; infinite where every network is predicted to end on one side."""
        return self._sign * self._cut

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return self._sign * self.feature(examples)

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) >= self._cut


def best_f1_cut(scores: np.ndarray, good: np.ndarray) -> float:
    """Return the score from which on "good" is predicted with the best F1, halfway to the next lower score; -inf (all
    good) when nothing is good. Scores and `good` are (n,)."""
    if not good.any():
        return -np.inf
    precision, recall, cuts = precision_recall_curve(good, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = cuts[int(np.argmax(f1[:-1]))]
    below = scores[scores < best]
    return float((best + below.max()) / 2) if len(below) else -np.inf


class LossRegression(Classifier):
    """Linear regression of the logarithm of the final loss on features; good where it predicts below the threshold."""

    @abstractmethod
    def features(self, examples: NetworkExamples) -> np.ndarray:
        """(n, m) finite features."""

    def prepare(self, train: NetworkExamples) -> None:
        """Learn what `features` needs."""

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self.prepare(train)
        self._regression = LinearRegression().fit(self.features(train), np.log(train.final_loss))
        self._cut = -np.log(threshold)

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self._regression.predict(self.features(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > self._cut


FLOOR = -6.0
"""Nats per step that dead directions count as in means and components of raw exponents: one direction must not outweigh
all others."""


def floored(examples: NetworkExamples, floor: float = FLOOR) -> np.ndarray:
    """Return the spectra, (networks, exponents), with dead directions at the floor."""
    return np.maximum(examples.spectra, floor)
