"""The command `aelle` as a process under test: what it has stored, and every process that it has started."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "AELLE_CHAOS_MARK"


class Command:
    """`aelle` with some arguments, in a process group of its own.

    Its processes are known by a mark in their environment, which children inherit, orphans too; those that have wiped
    theirs (Ray's agents, to change their titles) by having been seen below the command while it lived.
    """

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None, log: Path) -> None:
        self.mark = uuid.uuid4().hex
        self._log = log
        self._seen: set[psutil.Process] = set()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.command.main", *arguments],
                env=os.environ | (environment or {}) | {MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What was printed so far."""
        return self._log.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All living processes of this command, itself included."""
        if self.process.returncode is None:  # else its id may be another's
            with suppress(psutil.Error):
                self._seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        marked = {process for process in psutil.process_iter() if has_mark(process, self.mark)}
        return sorted(marked | {process for process in self._seen if lives(process)}, key=lambda each: each.pid)

    def wait(self, seconds: float) -> int:
        """The exit code. Raises TimeoutError with what was printed when the command takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"not ended after {seconds:g} s, having printed: {self.output!r}") from error

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Return when `condition` holds. Raises TimeoutError naming `what` after so many seconds, or when the command
        ends before."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise TimeoutError(f"the command ended before {what}, having printed: {self.output!r}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {what} within {seconds:g} s, having printed: {self.output!r}")
            time.sleep(0.02)

    def kill_first(self) -> None:
        """Kill the process that was started, which is then reaped, and none of those that it has started."""
        self.processes()  # seen now, they are known when they are orphans
        self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        """End every process of this command at once."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()


def has_mark(process: psutil.Process, mark: str) -> bool:
    """Whether a process lives and has inherited the mark."""
    try:
        return process.environ().get(MARK) == mark and lives(process)
    except psutil.Error:
        return False


def lives(process: psutil.Process) -> bool:
    """Whether a process has not ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def until_gone(command: Command, seconds: float) -> list[str]:
    """Wait until no process of the command is left; what is left after so many seconds, in words."""
    deadline = time.monotonic() + seconds
    while (left := command.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [_in_words(process) for process in left]


def _in_words(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return str(process.pid)


def fragments(run: Path) -> int:
    """How many fragments of spectra are stored in a run directory."""
    return sum(1 for _ in run.glob("spectra/study=*/cell=*/epoch=*/*.parquet"))
