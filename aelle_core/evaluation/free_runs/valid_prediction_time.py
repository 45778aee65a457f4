"""How long forecasts hold."""

from typing import ClassVar

import numpy as np

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measures

TOLERANCE = 0.4


@measures.register("valid_prediction_time")
class ValidPredictionTime(Measure):
    """Steps until the error first exceeds 0.4, averaged over the sequences: e(t) = |y(t) - x(t)| / (sum over features
    of the data's variance)^(1/2). Where the system's largest exponent is known, steps become Lyapunov times: times the
    interval, times the exponent."""

    description: ClassVar[str] = "valid prediction time"
    higher: ClassVar[bool] = True
    source: ClassVar[str] = "Vlachas et al., Neural Networks 126 (2020), equation 30; Platt et al. 2022"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.linalg.norm(runs.runs - runs.data, axis=-1) / np.linalg.norm(runs.spread)
        beyond = ~(errors <= TOLERANCE)  # NaN too
        steps = np.where(beyond.any(axis=-1), beyond.argmax(axis=-1), beyond.shape[-1]).mean(axis=-1)
        return steps * (runs.interval * runs.rate if runs.rate else 1.0)
