"""Progress of a run where people look for it: artifacts of the run itself, one for each stage."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.progress.display import Display, display, showing

if TYPE_CHECKING:
    from aelle_core.report import ReportData

P = ParamSpec("P")
_PUBLISHED_PERCENT = 5


class PublishedDisplay:
    """A display that also publishes how far each stage is, as a progress artifact of the flow run that it is made in.

    Stages begin in the flow itself; what advances them may be its tasks, in threads.
    """

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self._stages: dict[str, tuple[UUID, int]] = {}
        self._done: dict[str, int] = {}
        self._published: dict[str, float] = {}
        self._lock = threading.Lock()

    def start(self, stage: str, total: int, unit: str) -> None:
        self._shown.start(stage, total, unit)
        artifact = create_progress_artifact(0.0, key=stage.lower(), description=f"{stage}: {total} {unit}")
        with self._lock:
            self._stages[stage] = (artifact, total)  # type: ignore[assignment]
            self._done[stage], self._published[stage] = 0, 0.0

    def advance(self, stage: str, amount: int, now: str = "") -> None:
        self._shown.advance(stage, amount, now)
        with self._lock:
            artifact, total = self._stages[stage]
            self._done[stage] += amount
            percent = min(100.0, 100.0 * self._done[stage] / total)
            last = self._published[stage]
            due = percent - last >= _PUBLISHED_PERCENT or last < percent == 100.0
            if due:
                self._published[stage] = percent
        if due:
            update_progress_artifact(artifact, progress=percent)

    def show(self, data: "ReportData") -> None:
        self._shown.show(data)


@contextmanager
def published_progress() -> Iterator[None]:
    """Publish the progress of the block's stages, beside where it is shown already."""
    with showing(PublishedDisplay(display())):
        yield


def publishes_progress(function: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a flow's function so that its progress is published by its run."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        with published_progress():
            return function(*args, **kwargs)

    return wrapped
