"""Ray tasks that know the plug-ins of the process that submits them."""

from collections.abc import Callable
from typing import Any

from aelle_core.foundation.plugins import adopt, named


def with_plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that first loads the plug-ins of this process, wherever it runs, and then does the same.

    Scripts travel with it; modules must be installed there. It raises UserError where a plug-in cannot be loaded.
    """
    plugins = named()
    if not plugins:
        return function

    def plugged(*arguments: Any) -> Any:
        adopt(plugins)
        return function(*arguments)

    return plugged
