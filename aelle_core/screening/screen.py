"""Rank untrained candidates by the loss to expect of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.screening.predictor import SpectrumPredictor
from aelle_core.screening.spectra import candidate_spectra
from aelle_core.screening.sweeps import Sweep

FAR = 1.0
"""The distance from which on a candidate is unlike all that the predictor knows."""


@dataclass(frozen=True)
class Ranked:
    """A candidate with what to expect of it.

    index      its position among the candidates
    candidate  itself
    predicted  the loss after training to expect, in the unit of the predictor's task; NaN without a finite spectrum
    spread     half of the range that holds two thirds of the trees' opinions
    distance   to what the predictor knows; above 1: unlike all of it, and the prediction is a guess
    """

    index: int
    candidate: Any
    predicted: float
    spread: float
    distance: float

    @property
    def unlike(self) -> bool:
        """Whether it is unlike all that the predictor knows."""
        return not self.distance <= FAR


def screen(
    candidates: Sequence[Any],
    inputs: Tensor | np.ndarray,
    predictor: SpectrumPredictor | Sweep | str | Path | None = None,
    *,
    keep: int | None = None,
    learning_rate: float | Sequence[float] | None = None,
) -> list[Ranked]:
    """Return the candidates, best first, by the loss that a predictor expects from their spectra before training.

    Args:
        candidates: Networks (a cell with parameters), torch layers of one layer, or modules with forward(x, h) -> h.
        inputs: (batch, time, features) sequences like those to be trained on. One ranks as well as fifteen do: rank
            correlation with the final loss .706 from 1 and .703 from 15 (digits, 320 networks, five folds).
        predictor: A fitted SpectrumPredictor, or what one is fitted to: a Sweep, the directory of a finished run, or
            a name that ships. None takes "digits".
        keep: How many to return; all by default.
        learning_rate: That of the training to come: one for all candidates, or one for each.

    Candidates without a finite spectrum come last. Raises UserError on what does not fit together.

    >>> import torch
    >>> from aelle_core import screen
    >>> drawn = [torch.nn.GRU(4, 16, batch_first=True) for _ in range(6)]
    >>> best = screen(drawn, torch.rand(1, 20, 4), "digits", keep=2, learning_rate=0.003)
    >>> len(best), best[0].predicted <= best[1].predicted
    (2, True)
    """
    if not isinstance(candidates, Sequence) or not len(candidates):
        raise UserError(f"candidates {type(candidates).__name__}: expected a list of at least one network")
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or not 1 <= keep <= len(candidates)):
        raise UserError(f"keep={keep!r}: expected a whole number from 1 to {len(candidates)}, the candidates")
    given = torch.as_tensor(inputs)
    if given.dim() != 3 or 0 in given.shape:
        raise UserError(f"inputs have shape {tuple(given.shape)}: expected (batch, time, features), none of them 0")
    rates = None if learning_rate is None else np.broadcast_to(np.asarray(learning_rate, float), len(candidates))
    fitted = fitted_predictor(predictor)
    spectra = candidate_spectra(candidates, given)
    alive = [index for index, spectrum in enumerate(spectra) if spectrum is not None]
    ranked = {}
    if alive:
        kept = [spectrum for spectrum in spectra if spectrum is not None]
        predictions = fitted.predict(kept, None if rates is None else rates[alive])
        for index, *numbers in zip(alive, predictions.loss, predictions.spread, predictions.distance, strict=True):
            ranked[index] = Ranked(index, candidates[index], *map(float, numbers))
    nothing = (float("nan"), float("nan"), float("inf"))
    whole = [ranked.get(index) or Ranked(index, candidates[index], *nothing) for index in range(len(candidates))]
    return sorted(whole, key=lambda candidate: (np.isnan(candidate.predicted), candidate.predicted))[:keep]


def fitted_predictor(source: SpectrumPredictor | Sweep | str | Path | None) -> SpectrumPredictor:
    """Return a predictor that is fitted, from itself or from what one can be fitted to ("digits" by default)."""
    if isinstance(source, SpectrumPredictor):
        if not hasattr(source, "trees_"):
            raise UserError("the predictor is not fitted: expected SpectrumPredictor().fit(sweep)")
        return source
    return SpectrumPredictor().fit(source if isinstance(source, Sweep) else Sweep.load(source or "digits"))
