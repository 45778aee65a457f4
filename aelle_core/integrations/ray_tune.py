"""Screened candidates as the first points of a search of Ray Tune."""

from collections.abc import Mapping, Sequence
from typing import Any

from aelle_core.foundation.errors import UserError


def points_to_evaluate(hyperparameters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what screening kept, best first, as `points_to_evaluate` of a search algorithm of Ray Tune.

        search = BasicVariantGenerator(points_to_evaluate=points_to_evaluate(kept))
        Tuner(train, param_space=space, tune_config=TuneConfig(search_alg=search, num_samples=50))

    Raises UserError where one of them lacks a name that another has.
    """
    points = [dict(values) for values in hyperparameters]
    names = set().union(*points) if points else set()
    for number, point in enumerate(points):
        if missing := sorted(names - set(point)):
            raise UserError(f"point {number} has no {', '.join(missing)}: expected the same names in every point")
    return points
