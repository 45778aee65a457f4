"""The process of a flow run that `aelle serve` has started ends when that one is gone, however it ended."""

import os

from aelle_core.foundation.child_processes import end_with

_VARIABLE = "AELLE_SERVED_BY"


def serve_from_here() -> None:
    """Have the flow runs that this process starts end with it."""
    os.environ[_VARIABLE] = str(os.getpid())


def end_with_serve() -> None:
    """End this process when the `aelle serve` that started it is gone; do nothing where none did."""
    if os.environ.get(_VARIABLE) == str(os.getppid()):
        end_with(os.getppid())
