"""Ctrl-C and SIGTERM, which reach the main thread alone: how its other threads hear of them, and within what time a
process ends."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import psutil

EXIT_SECONDS = 15
_interrupted = threading.Event()
_interrupts: list[BaseException] = []


class InterruptError(RuntimeError):
    """Raised in threads whose main thread was interrupted."""


@contextmanager
def telling_threads() -> Iterator[None]:
    """Let `raise_if_interrupted` raise in all threads once an interrupt ends the block."""
    _interrupted.clear()
    try:
        yield
    except Exception:
        raise
    except BaseException as interrupt:
        _interrupts.append(interrupt)
        _interrupted.set()
        raise


def exit_code(interrupt: BaseException) -> int:
    """Return the exit code for what ended a process early: 128 + signal. Prefect has its own exception for SIGTERM."""
    if isinstance(interrupt, KeyboardInterrupt):
        return 128 + signal.SIGINT
    code = interrupt.code if isinstance(interrupt, SystemExit) else None
    return code if isinstance(code, int) else 128 + signal.SIGTERM


_last_acts: list[Callable[[], object]] = []


def before_forced_end(act: Callable[[], object]) -> None:
    """Have `end_within` call `act` before it ends this process by force."""
    _last_acts.append(act)


def end_within(seconds: float) -> None:
    """Have this process end after that time at the latest, with exit code 0, and with it all that it has started."""

    def end() -> None:
        time.sleep(seconds)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
        for act in _last_acts:
            with suppress(Exception):
                act()
        os._exit(0)

    threading.Thread(target=end, name="end", daemon=True).start()


def raise_if_interrupted() -> None:
    """Raise InterruptError when an interrupt has ended the block of `telling_threads`: for loops of other threads."""
    if _interrupted.is_set():
        raise InterruptError("interrupted")


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Put the handlers of SIGTERM and SIGINT back after the block, which calls a library that sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Ending:
    """How the process of a command ends before its work is done: why, and with what exit code."""

    def __init__(self) -> None:
        self.reason = "interrupted"
        self._code: int | None = None

    def begin(self, reason: str) -> None:
        """End the process from any thread, with exit code 1."""
        self.reason, self._code = reason, 1
        os.kill(os.getpid(), signal.SIGTERM)

    def code(self, interrupt: BaseException) -> int:
        """Return the exit code, given what the main thread was interrupted by."""
        return exit_code(interrupt) if self._code is None else self._code


_endings: list[Ending] = []


def end_command(reason: str) -> None:
    """End the command that this process runs, from any thread, with exit code 1; does nothing where it runs none."""
    for ending in _endings:
        ending.begin(reason)


@contextmanager
def exiting_on_signals(last_words: str) -> Iterator[Ending]:
    """For the process of a command: SIGTERM and SIGHUP raise SystemExit(128 + signal), as Ctrl-C raises
    KeyboardInterrupt; SIGHUP stays ignored where it was, as `nohup` wants it. A process that has not ended EXIT_SECONDS
    after one of these ended a block of `telling_threads` prints why, and `last_words`, and ends at once, whatever its
    threads wait for."""
    ending = Ending()

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def enforce() -> None:
        _interrupted.wait()
        time.sleep(EXIT_SECONDS)
        # What it started is bound to this process: Ray by the kernel, the Prefect server by watching its parent.
        print(f"aelle: {ending.reason}: {last_words}", file=sys.stderr, flush=True)
        os._exit(ending.code(_interrupts[0]))

    heard = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, leave) for number in heard}
    threading.Thread(target=enforce, name="exit", daemon=True).start()
    try:
        with telling_threads():
            _endings.append(ending)
            yield ending
    finally:
        _endings.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
