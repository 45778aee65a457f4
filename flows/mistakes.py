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
    """Decorate a flow's function so that its expected failures end in the state Failed.

    These are a mistake, a place that fails, a cluster that dies and a sweep without any result. Their sentence is the
    state's message and the error its data, which is raised to the caller of the flow.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except (UserError, PlaceError, ClusterError, SweepError) as error:
            return Failed(message=str(error), data=error)

    return wrapped
