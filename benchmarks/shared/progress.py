"""Progress on stderr, and how long every part took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Steps:
    """The steps of a run, named as they are taken; `taken` holds the seconds of each part."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=total)
        self.taken: dict[str, float] = {}

    @contextmanager
    def step(self, part: str, detail: str = "") -> Iterator[None]:
        self._progress.update(self._task, description=f"{part} {detail}".strip())
        start = time.perf_counter()
        yield
        self.taken[part] = self.taken.get(part, 0.0) + time.perf_counter() - start
        self._progress.advance(self._task)


@contextmanager
def progress_of(total: int) -> Iterator[Steps]:
    """A bar of so many steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        yield Steps(progress, total)


def statement(whole: float, taken: dict[str, float], left_out: list[str]) -> str:
    """How long the run and its parts took, in seconds, and what there was no time for."""
    text = f"This run took {whole / 60:.1f} minutes: "
    text += ", ".join(f"{part} {seconds:.0f} s" for part, seconds in taken.items())
    return text + (f". Left out, as the time was over: {'; '.join(left_out)}" if left_out else "")
