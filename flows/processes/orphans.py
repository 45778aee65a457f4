"""Ends processes that would stay when another has gone, as `python -m flows.processes.orphans PARENT PROCESS...`."""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import psutil
import typer

from aelle_core.foundation.child_processes import wait_for_end
from aelle_core.foundation.module_path import module_command


@contextmanager
def ending_with_this(processes: Iterable[psutil.Process]) -> Iterator[None]:
    """Within the block, end these processes when this one is gone, however it ended: half a second later, at once.

    A process of our own sees to that, out of reach of what a terminal, or a kill of the group, does to this one.
    """
    named = [_named(process) for process in processes]
    if not named:
        yield
        return
    command = module_command("flows.processes.orphans", str(os.getpid()), *named)
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=nothing, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.terminate()


def end(
    parent: Annotated[int, typer.Argument(help="Process whose end ends the others.")],
    processes: Annotated[list[str], typer.Argument(help="Each as its id and the time that it was started at.")],
) -> None:
    """Wait until the parent has gone, then end what is left of the processes."""
    wait_for_end(parent)
    for process in processes:
        number, started = process.split("@")
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(int(number))
            if repr(worker.create_time()) == started:  # and not another one that has got its id
                worker.kill()


def _named(process: psutil.Process) -> str:
    return f"{process.pid}@{process.create_time()!r}"


if __name__ == "__main__":
    typer.run(end)
