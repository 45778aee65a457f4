"""Screened candidates as the first trials of an Optuna study."""

from collections.abc import Mapping, Sequence
from typing import Any

from aelle_core.foundation.errors import UserError


def enqueue_ranked(study: Any, hyperparameters: Sequence[Mapping[str, Any]]) -> int:
    """Enqueue what screening kept, best first, as trials of an Optuna study; return how many.

    `hyperparameters` are those of the kept candidates, by the names that the study's objective suggests. Trials that
    stand in the study already are not enqueued again. Raises UserError where `study` cannot take trials.
    """
    if not hasattr(study, "enqueue_trial"):
        raise UserError(f"study is a {type(study).__name__}: expected a study of optuna.create_study()")
    before = len(study.trials)
    for point in hyperparameters:
        study.enqueue_trial(dict(point), skip_if_exists=True)
    return len(study.trials) - before
