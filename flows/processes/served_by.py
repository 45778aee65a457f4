"""The process of a flow run that `aelle serve` has started ends when that one is gone, however it ended."""

import os
from typing import TYPE_CHECKING, Any

from aelle_core.foundation.child_processes import end_with

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_VARIABLE = "AELLE_SERVED_BY"


def serve_from_here() -> None:
    """Have the flow runs that this process starts end with it."""
    os.environ[_VARIABLE] = str(os.getpid())


def end_with_serve(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """For a flow's `on_running`: end its process when the `aelle serve` that started it is gone; do nothing where none
    did."""
    if os.environ.get(_VARIABLE) == str(os.getppid()):
        end_with(os.getppid())
