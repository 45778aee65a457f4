"""Progress of a run where people look for it: artifacts of the run itself, one for each stage."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.progress.display import Display, display, showing

if TYPE_CHECKING:
    from aelle_core.report import ReportData

P = ParamSpec("P")
_PUBLISHED_PERCENT = 5


@dataclass
class _Stage:
    """A stage's artifact, what it has in all and has done, and the percentage that was published last."""

    artifact: UUID
    total: int
    done: int = 0
    published: float = 0.0


class PublishedDisplay:
    """A display that also publishes how far each stage is, as a progress artifact of the flow run that it is made in.

    Stages begin in the flow itself; what advances them may be its tasks, in threads.
    """

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self._stages: dict[str, _Stage] = {}
        self._lock = threading.Lock()

    def start(self, stage: str, total: int, unit: str) -> None:
        self._shown.start(stage, total, unit)
        artifact = create_progress_artifact(0.0, key=stage.lower(), description=f"{stage}: {total} {unit}")
        assert isinstance(artifact, UUID)  # in a flow's own thread Prefect answers at once
        with self._lock:
            self._stages[stage] = _Stage(artifact, total)

    def advance(self, stage: str, amount: int, now: str = "") -> None:
        self._shown.advance(stage, amount, now)
        with self._lock:
            held = self._stages[stage]
            held.done += amount
            percent = min(100.0, 100.0 * held.done / held.total)
            due = percent - held.published >= _PUBLISHED_PERCENT or held.published < percent == 100.0
            if due:
                held.published = percent
        if due:
            update_progress_artifact(held.artifact, progress=percent)

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
