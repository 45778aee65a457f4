"""The cell's name and what was drawn for the network, through a Gaussian process: the strongest that knows no run."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Hyperparameter, Kernel, WhiteKernel

from aelle_core.aelle.targets import Target
from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples

_SEARCHED = 150
"""Networks on which length scales are chosen: their likelihood costs the cube of the number."""


class SameCell(Kernel):
    """1 between networks of the same number, 0 between others."""

    def __init__(self) -> None:
        """Nothing to choose."""

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False) -> Any:
        same = (X[:, :1] == (X if Y is None else Y)[:, 0]).astype(float)
        return (same, np.empty((*same.shape, 0))) if eval_gradient else same

    def diag(self, X: np.ndarray) -> np.ndarray:
        """Return 1 for every network, (n,)."""
        return np.ones(len(X))

    def is_stationary(self) -> bool:
        """Return False: equal cells count more than their difference says."""
        return False


class OnColumns(Kernel):
    """A kernel that looks at some columns."""

    def __init__(self, kernel: Kernel, columns: tuple[int, ...]) -> None:
        self.kernel = kernel
        self.columns = columns

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """Return the hyperparameters of the kernel."""
        return self.kernel.hyperparameters

    @property
    def theta(self) -> np.ndarray:
        """Return the logarithms of the kernel's free parameters, (parameters,)."""
        return self.kernel.theta

    @theta.setter
    def theta(self, theta: np.ndarray) -> None:
        self.kernel.theta = theta

    @property
    def bounds(self) -> np.ndarray:
        """Return the bounds of the free parameters, (parameters, 2)."""
        return self.kernel.bounds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnColumns) and (self.kernel, self.columns) == (other.kernel, other.columns)

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False) -> Any:
        columns = list(self.columns)
        return self.kernel(X[:, columns], None if Y is None else Y[:, columns], eval_gradient)

    def diag(self, X: np.ndarray) -> np.ndarray:
        """Return the diagonal of the kernel, (n,)."""
        return self.kernel.diag(X[:, list(self.columns)])

    def is_stationary(self) -> bool:
        """Return whether the kernel is stationary."""
        return self.kernel.is_stationary()


class ProcessClassifier(Classifier):
    """A Gaussian process from features of a network to the rank of its final loss; good where the predicted rank is
    below the threshold's.

    The covariance is shared + cell's: a function of the features for all cells, one for each cell, a constant for each
    cell, and noise; every feature has its length scale in both. Length scales maximise the marginal likelihood.
    """

    def columns(self, examples: NetworkExamples) -> np.ndarray:
        """(n, m) features, here the logarithms of size and hyperparameters, NaN where a cell has none."""
        known = [np.log(examples.units.astype(float))]
        for name in self._names:
            values = examples.hyperparameters.get(name, np.full(len(examples), np.nan))
            known.append(np.log(np.maximum(values, 1e-12)))
        return np.stack(known, axis=1)

    def _features(self, examples: NetworkExamples) -> np.ndarray:
        numbers = {cell: number for number, cell in enumerate(self._cells)}
        # A cell that was never seen resembles none.
        numbers_of_cells = np.array([numbers.get(cell, -1) for cell in examples.cells.tolist()], dtype=float)
        scaled = np.nan_to_num((self.columns(examples) - self._center) / self._scale)[:, self._varying]
        return np.column_stack([numbers_of_cells, scaled])

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self._names, self._cells = sorted(train.hyperparameters), sorted(set(train.cells.tolist()))
        columns = self.columns(train)
        known = np.isfinite(columns).any(axis=0)
        self._center, self._scale = np.zeros(columns.shape[1]), np.ones(columns.shape[1])
        self._center[known] = np.nanmean(columns[:, known], axis=0)
        self._scale[known] = np.nanstd(columns[:, known], axis=0)
        self._varying = self._scale > 1e-9
        self._varying &= known
        self._scale[~self._varying] = 1.0
        features = self._features(train)
        target = Target.fitted("rank", train.final_loss)
        outcome = target.standard(train.final_loss)
        searched = np.random.default_rng(self.seed).permutation(len(train))[:_SEARCHED]
        process = GaussianProcessRegressor(_kernel(features.shape[1] - 1), random_state=self.seed)
        with warnings.catch_warnings():  # a length scale at its bound is a feature that does not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            kernel = process.fit(features[searched], outcome[searched]).kernel_
        self._process = GaussianProcessRegressor(kernel, optimizer=None).fit(features, outcome)
        self._cut = float(target.standard(np.array([threshold]))[0])

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return -self._process.predict(self._features(examples))

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > -self._cut


def _kernel(count: int) -> Kernel:
    cell = OnColumns(SameCell(), (0,))
    kernel: Kernel = ConstantKernel(0.3) * cell + WhiteKernel(0.2, (1e-3, 1e1))
    if count:
        powers = tuple(range(1, count + 1))
        shared, own = (OnColumns(RBF(np.ones(count), (0.1, 100.0)), powers) for _ in range(2))
        kernel = ConstantKernel(0.3) * shared + ConstantKernel(0.3) * cell * own + kernel
    return kernel


@classifiers.register("Gaussian process on hyperparameters")
class GaussianProcess(ProcessClassifier):
    """A Gaussian process on the cell and what was drawn for the network."""

    kind = "baseline"
    uses_present = False
    description = "Gaussian process on cell, size, initial scale, learning rate and the constants of the equation"


@classifiers.register("Gaussian process with loss")
class GaussianProcessWithLoss(ProcessClassifier):
    """The same, and the loss that the network has now."""

    kind = "baseline"
    uses_loss = True
    description = "Gaussian process on cell, hyperparameters and the present validation loss"

    def columns(self, examples: NetworkExamples) -> np.ndarray:
        loss = np.clip(np.nan_to_num(examples.loss, nan=1e30, posinf=1e30), 1e-30, 1e30)
        return np.column_stack([super().columns(examples), np.log(loss)])
