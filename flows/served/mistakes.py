"""How a run ends is one sentence in the UI: the message of its state."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast

from prefect import Flow
from prefect.states import Completed, Failed, State

from aelle_core.foundation.errors import PlaceError, UserError
from flows.processes.local_cluster import ClusterError
from flows.sweep import SweepError

P = ParamSpec("P")


def fails_in_one_sentence(function: Callable[P, Any]) -> Callable[P, Any]:
    """Decorator for a flow's function: a mistake, a place that fails, a cluster that dies and a sweep without any
    result become the state Failed with their sentence as the message."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except (UserError, PlaceError, ClusterError, SweepError) as error:
            return Failed(message=str(error))

    return wrapped


def passed_on(flow: Flow[..., Any], *arguments: Any) -> State[Any]:
    """Run a flow below this one and end as it does: with its message or what it returns. Raises what it raises."""
    state = cast(State[Any], flow(*arguments, return_state=True))
    result = state.result()
    return Completed(message=state.message or str(result))
