"""A mistake in a form is one sentence in the UI: the message of the run's state."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from prefect.states import Failed

from aelle_core.errors import UserError

P = ParamSpec("P")


def fails_in_one_sentence(function: Callable[P, Any]) -> Callable[P, Any]:
    """Decorator for a flow's function: a UserError becomes the state Failed with its sentence as the message."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            return Failed(message=str(error))

    return wrapped
