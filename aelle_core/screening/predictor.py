"""What loss to expect of an untrained network, from its spectrum and the learning rate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from aelle_core.aelle.familiarity import Familiarity
from aelle_core.foundation.errors import UserError
from aelle_core.screening.sweeps import Sweep, spectrum_features

_SIZE = 32
_TREES = 400


@dataclass(frozen=True)
class Prediction:
    """For n networks: the loss to expect, in the task's unit; its spread, half of the range that holds two thirds of
    the trees' opinions; and the distance to what the predictor knows (above 1: unlike all of it)."""

    loss: np.ndarray
    spread: np.ndarray
    distance: np.ndarray


class SpectrumPredictor:
    """Extra trees from spectra before training, and the logarithm of the learning rate, to the logarithm of the loss.

    It knows neither cell nor size, so that it can rank cells that it has never seen. `smoothing` averages predictions
    of candidates of one learning rate over candidates with a similar spectrum: one draw of the weights is mostly luck.

    >>> from aelle_core.screening import SpectrumPredictor, Sweep
    >>> predictor = SpectrumPredictor().fit(Sweep.load("digits"))
    >>> "gru" in predictor.cells
    True

    Geurts, Ernst, Wehenkel, Extremely randomized trees, 2006.
    """

    def __init__(self, *, smoothing: bool = True, seed: int = 0) -> None:
        self.smoothing = smoothing
        self.seed = seed
        self.cells: frozenset[str] = frozenset()

    def fit(self, *sweeps: Sweep) -> "SpectrumPredictor":
        """Learn from finished sweeps of one task. Returns itself. Raises UserError without networks."""
        if not sweeps:
            raise UserError("a predictor was fitted to no sweep: expected at least one")
        spectra = [spectrum for sweep in sweeps for spectrum in sweep.spectra]
        rates = np.log(np.concatenate([sweep.learning_rates for sweep in sweeps]))
        losses = np.concatenate([sweep.final_loss for sweep in sweeps])
        if not np.isfinite(losses).all() or not (losses > 0).all():
            raise UserError("final losses are not above 0 and finite: expected a sweep with networks that trained")
        self.uses_rate_ = bool(np.isfinite(rates).all()) and float(np.ptp(rates)) > 0
        self.typical_rate_ = float(np.median(rates)) if self.uses_rate_ else 0.0
        features = spectrum_features(spectra, _SIZE)
        self.familiarity_ = Familiarity.fitted(features)
        columns = np.column_stack([features, rates]) if self.uses_rate_ else features
        self.trees_ = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.5, random_state=self.seed)
        self.trees_.fit(columns, np.log(losses))
        self.cells = frozenset(np.concatenate([sweep.cells for sweep in sweeps]).tolist())
        return self

    def predict(self, spectra: Sequence[np.ndarray], learning_rate: float | np.ndarray | None = None) -> Prediction:
        """Return what to expect of networks with these hidden-state spectra, each (k,) in nats per step.

        `learning_rate` is that of the training to come: one for all, or (n,); by default the median of the sweeps.
        """
        features = spectrum_features(spectra, _SIZE)
        rates = np.full(len(features), self.typical_rate_)
        if learning_rate is not None:
            given = np.asarray(learning_rate, dtype=float)
            if given.shape not in ((), (len(features),)) or not (given > 0).all() or not np.isfinite(given).all():
                raise UserError(f"learning_rate={learning_rate!r}: expected a number above 0, or one for each network")
            rates[:] = np.log(given)
        columns = np.column_stack([features, rates]) if self.uses_rate_ else features
        opinions = np.stack([tree.predict(columns) for tree in self.trees_.estimators_])
        if self.smoothing and len(features) > 2 and np.ptp(rates) == 0:
            opinions = opinions @ _neighbours(features).T
        low, middle, high = np.quantile(opinions, [1 / 6, 1 / 2, 5 / 6], axis=0)
        return Prediction(
            loss=np.exp(opinions.mean(axis=0)),
            spread=np.exp(middle) * (np.exp(high - middle) - np.exp(low - middle)) / 2,
            distance=self.familiarity_.distance(features),
        )


def _neighbours(features: np.ndarray) -> np.ndarray:
    """(n, n) weights of each network's neighbours in spectrum, rows summing to 1: Gaussian, as wide as a twentieth of
    the median squared distance."""
    squares = np.square(features).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None] - 2 * features @ features.T, 0.0)
    width = 0.05 * float(np.median(apart[~np.eye(len(apart), dtype=bool)]))
    weights = np.exp(-apart / (2 * width)) if width > 0 else np.eye(len(apart))
    return weights / weights.sum(axis=1, keepdims=True)
