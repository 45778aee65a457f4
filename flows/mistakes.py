"""How a run ends is one sentence in the UI: the message of its state."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from prefect.states import Failed

from aelle_core.foundation.errors import PlaceError, UserError
from flows.processes.local_cluster import ClusterError

P = ParamSpec("P")


class SweepError(RuntimeError):
    """No pack of a study could be trained; the message says why."""


def fails_in_one_sentence(function: Callable[P, Any]) -> Callable[P, Any]:
    """Decorator for a flow's function: a mistake, a place that fails, a cluster that dies and a sweep without any
    result become the state Failed with their sentence as the message and the error as its data, which whoever calls
    the flow gets raised."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except (UserError, PlaceError, ClusterError, SweepError) as error:
            return Failed(message=str(error), data=error)

    return wrapped
