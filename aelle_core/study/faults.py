"""Telling a failure of the place where results go from one of the pack that was to write there."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from aelle_core.files.places import has_no_answer
from aelle_core.foundation.errors import PlaceError, first_line
from aelle_core.store.dataset import StoreError
from aelle_core.study.directory import RunDirectory

_OF_THE_PLACE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO")
    if hasattr(errno, name)
}


@contextmanager
def place_failures_named(run: RunDirectory) -> Iterator[None]:
    """Turn errors of the run directory within the block into a PlaceError of one sentence; let others pass.

    A pack tried again would meet it again, and so would all others: who runs packs stops them.
    """
    try:
        yield
    except PlaceError:
        raise
    except Exception as error:
        check_there(run)
        if (number := _error_number(error)) in _OF_THE_PLACE:
            raise PlaceError(f"{_place(error, run)!r} cannot be written: {os.strerror(number).lower()}") from error
        if refusal := _refusal(error):
            raise PlaceError(f"{str(run)!r} cannot be used: {first_line(refusal)}") from error
        raise


def check_there(run: RunDirectory) -> None:
    """Raise PlaceError when the directory of a run under way is gone, or the store in it."""
    try:
        run.store.check_is_there()
    except (StoreError, OSError) as error:
        raise PlaceError(first_line(error)) from error


def _place(error: Exception, run: RunDirectory) -> str:
    """Return the run directory, or a file elsewhere that the error names."""
    named = str(getattr(error, "filename", None) or run)
    return str(run) if named.startswith(str(run)) else named


def _refusal(error: BaseException | None) -> OSError | None:
    """Return an object store's answer that would be the same for every pack. One that does not answer may do so
    later."""
    while error is not None:
        if isinstance(error, OSError) and has_no_answer(error) and "NETWORK_CONNECTION" not in str(error):
            return error
        error = error.__cause__
    return None


def _error_number(error: BaseException | None) -> int:
    """Return the system's number of an error, 0 for others. Safetensors tells it in its message alone."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if match := re.search(r"\(os error (\d+)\)", str(error)):
            return int(match[1])
        error = error.__cause__
    return 0
