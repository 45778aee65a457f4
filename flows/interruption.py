"""Ctrl-C and SIGTERM, which reach the main thread alone: how its other threads hear of them, and within what time a
process ends."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_SECONDS = 15
_interrupted = threading.Event()
_codes: list[int] = []  # of the interrupts so far


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
        _codes.append(exit_code(interrupt))
        _interrupted.set()
        raise


def exit_code(interrupt: BaseException) -> int:
    """The exit code for what ended a process early: 128 + signal. Prefect has its own exception for SIGTERM."""
    if isinstance(interrupt, KeyboardInterrupt):
        return 128 + signal.SIGINT
    code = interrupt.code if isinstance(interrupt, SystemExit) else None
    return code if isinstance(code, int) else 128 + signal.SIGTERM


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


@contextmanager
def exiting_on_signals(sentence: str) -> Iterator[None]:
    """For the process of a command: SIGTERM and SIGHUP raise SystemExit(128 + signal), as Ctrl-C raises
    KeyboardInterrupt; and a process that has not ended EXIT_SECONDS after one of them ended a block of
    `telling_threads` prints `sentence` and ends at once, whatever its threads wait for."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def enforce() -> None:
        _interrupted.wait()
        time.sleep(EXIT_SECONDS)
        # The children are bound to this process: Ray's by the kernel, the Prefect server by watching it.
        print(sentence, file=sys.stderr, flush=True)
        os._exit(_codes[0])

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, leave) for number in numbers}
    threading.Thread(target=enforce, name="exit", daemon=True).start()
    try:
        with telling_threads():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
