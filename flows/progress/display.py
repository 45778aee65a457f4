"""Show a run in the terminal: a progress bar for each stage, and its result."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from aelle_core.report import ReportData


class Display(Protocol):
    """Something that shows how far the stages of a run are."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """Begin a stage with `total` units of work."""

    def advance(self, stage: str, amount: int, now: str = "") -> None:
        """Count `amount` more finished units; `now` names the current work."""

    def show(self, data: "ReportData") -> None:
        """Show the result of a finished run."""


class NoDisplay:
    """A display that shows nothing, for runs without a terminal."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """Show nothing."""

    def advance(self, stage: str, amount: int, now: str = "") -> None:
        """Show nothing."""

    def show(self, data: "ReportData") -> None:
        """Show nothing."""


class TerminalDisplay:
    """Rich progress bars, one for each stage, with what is being trained and the time left; `data` is what the run has
    come to, for when the bars are gone, and None before."""

    def __init__(self, progress: Progress) -> None:
        self.data: ReportData | None = None
        self._progress = progress
        self._stages: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, stage: str, total: int, unit: str) -> None:
        with self._lock:
            self._stages[stage] = self._progress.add_task(stage, total=total, unit=unit, now="")

    def advance(self, stage: str, amount: int, now: str = "") -> None:
        with self._lock:
            self._progress.update(self._stages[stage], advance=amount)
            if now:
                self._progress.update(self._stages[stage], now=now)

    def show(self, data: "ReportData") -> None:
        self.data = data


_current: ContextVar[Display] = ContextVar("display", default=NoDisplay())  # noqa: B039 - it holds no state


def display() -> Display:
    """Return the display of this run."""
    return _current.get()


@contextmanager
def terminal_display(console: Console) -> Iterator[TerminalDisplay]:
    """Show progress on `console` while the block runs."""
    columns = (
        TextColumn("[bold]{task.description:<11}"),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        TextColumn("of {task.total:.0f} {task.fields[unit]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[now]}", markup=True),
    )
    with Progress(*columns, console=console) as progress:
        shown = TerminalDisplay(progress)
        with showing(shown):
            yield shown


@contextmanager
def showing(shown: Display) -> Iterator[None]:
    """Let `shown` be the display of what runs in the block."""
    token = _current.set(shown)
    try:
        yield
    finally:
        _current.reset(token)
