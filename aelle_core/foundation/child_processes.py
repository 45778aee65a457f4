"""Child processes that end when their parent does."""

import os
import signal
import threading
import time
from typing import Any

from joblib import parallel_config

_LOOK_SECONDS = 0.5
STOP_SECONDS = 5
"""How long a process that is asked to end may take."""


def wait_for_end(parent: int) -> None:
    """Return when this process is no longer a child of `parent`: when that has ended, however it did."""
    while os.getppid() == parent:  # an orphan gets another parent
        time.sleep(_LOOK_SECONDS)


def end_with(parent: int) -> None:
    """Watch the parent from a background thread, and end this process when the parent is gone: gently, then at once."""

    def watch() -> None:
        wait_for_end(parent)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def joblib_bound_to_this_process(**configuration: Any) -> parallel_config:
    """Return a context in which joblib's worker processes end with this process.

    Idle workers otherwise outlive a killed parent by minutes.
    """
    return parallel_config("loky", initializer=end_with, initargs=(os.getpid(),), **configuration)
