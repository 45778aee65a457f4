"""One process at a time: a lock that the system drops with the process, or on an object store a lease that runs out."""

import errno
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

LEASE_SECONDS = 600.0


class TakenError(UserError):
    """Another process has it."""


@contextmanager
def alone(root: Place, name: str, *, named: bool = True) -> Iterator[Callable[[], None]]:
    """Lock `name` below `root` for the block; yield a function to call now and then, which renews the lock.

    A lock on a file of a directory, which names the holder; with `named` false it stays empty. On an object store an
    object of its own for every holder: whoever finds another one there gives way, so that of two at once at least one
    does. One that was not renewed for ten minutes counts for nothing. That is no proof against a holder who was asleep
    for so long: what is done meanwhile must stay right with two at once. Raises TakenError when another process holds
    it, or has taken it over.
    """
    if isinstance(root, Path):
        with _opened(root / name) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise _taken(root, lock.read().strip()) from error
            lock.seek(0)
            lock.truncate()
            if named:
                lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                lock.flush()
            yield lambda: None
        return
    own = root / name / uuid.uuid4().hex
    renewed = time.monotonic()
    own.write_bytes(b"")
    try:
        if _others(own):
            raise _taken(root)

        def renew() -> None:
            nonlocal renewed
            if time.monotonic() - renewed < LEASE_SECONDS / 10:
                return
            if not own.exists():
                raise _taken(root)
            renewed = time.monotonic()
            own.write_bytes(b"")

        yield renew
    finally:
        own.unlink(missing_ok=True)


def _opened(path: Path) -> TextIO:
    """Raise UserError where a link of that name leads elsewhere: what it leads to would be emptied."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{str(path)!r} is a link: expected a file of this program's own; remove it") from error
        raise


def _others(own: ObjectPath) -> list["FileInfo"]:
    """Leases that have not run out, by the object store's own clock; the others are removed."""
    from pyarrow.fs import FileSelector

    leases = [entry for entry in own.filesystem.get_file_info(FileSelector(own.parent.key)) if entry.is_file]
    now = next((lease.mtime_ns for lease in leases if lease.path == own.key), 0)
    living = []
    for lease in leases:
        if lease.path != own.key and now - lease.mtime_ns < LEASE_SECONDS * 1e9:
            living.append(lease)
        elif lease.path != own.key:
            ObjectPath(own.scheme, lease.path, own.options).unlink(missing_ok=True)
    return living


def _taken(root: Place, by: str = "") -> TakenError:
    return TakenError(f"{str(root)!r} is being worked on by {by or 'another process'}: expected one at a time")
