"""Files that exist whole or not at all, and tensors read from them."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aelle_core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

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


def read_safetensors(path: Path | str, expected: str, label: str = "") -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """The tensors of a safetensors file, and its metadata.

    Raises UserError naming the file (with `label` in front) and what was `expected` when it cannot be read.
    """
    with _opened(path, expected, label) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no mapping


def read_metadata(path: Path | str, expected: str, label: str = "") -> dict[str, str]:
    """The metadata of a safetensors file alone. Raises UserError as `read_safetensors` does."""
    with _opened(path, expected, label) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path | str, expected: str, label: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{label}{str(path)!r} cannot be read ({error}): expected {expected}") from error
