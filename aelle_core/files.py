"""Files that exist whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

# Read once: reading it means setting it, which is not safe while threads make files.
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path` whose name starts with `_`, flush it to disk, then rename it.

    A reader sees the old file or the new one; after a failure (a full disk, say) the temporary file is removed and
    the error goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"_{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp's own mode would shut out other readers
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_directory(path.parent)
    return path


def flush_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
