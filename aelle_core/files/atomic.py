"""Files that exist whole or not at all, and tensors read from them."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import Place, check_is_file, place
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

AnyPlace = TypeVar("AnyPlace", Path, ObjectPath, Place)

# Read once: reading it means setting it, which is not safe while threads make files.
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_atomically(path: AnyPlace, write: Callable[[Path], object], *, within: Place | None = None) -> AnyPlace:
    """Let `write` fill a file beside `path` whose name starts with `_`, flush it to disk, then rename it; an object is
    made in the system's temporary directory, then uploaded whole.

    The directories above it are made; with `within` only those below that one, and where it is not there any more
    FileNotFoundError is raised. A reader sees the old file or the new one; after a failure (a full disk, say) the
    temporary file is removed and the error goes on. Raises UserError where `path` is there and no regular file: a
    device's node is not to be replaced by a file.
    """
    if isinstance(path, ObjectPath):
        with tempfile.TemporaryDirectory() as directory:
            made = Path(directory) / path.name
            write(made)
            path.write_bytes(made.read_bytes())
        return path
    check_replaceable(path)
    if within is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        _make_below(within, path.parent)
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


def check_replaceable(path: Path) -> None:
    """Raise UserError where something is at `path` that is no regular file: a device, a pipe, a socket, a directory."""
    kind = kind_of(path)
    if kind not in (None, "a file"):
        raise UserError(f"{str(path)!r} is {kind}: expected a new name, or a file that may be replaced")


def kind_of(path: Place) -> str | None:
    """Return in words what is at a path, or None where nothing is."""
    if isinstance(path, ObjectPath):
        return "a file" if path.is_file() else None
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next((words for test, words in _KINDS if test(mode)), "something else")


_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def _make_below(root: Place, directory: Path) -> None:
    """Make `directory` and what is missing between it and `root`, but never `root` itself."""
    if directory != root and not directory.is_dir():
        _make_below(root, directory.parent)
        directory.mkdir(exist_ok=True)


def flush_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_aside(path: Place) -> Place:
    """Rename a file that cannot be used to NAME.broken, over an earlier one, and return its new place. Raises OSError
    where that is not possible."""
    name = f"{path.name}.broken"
    if isinstance(path, Path):
        path.replace(path.with_name(name))
        flush_directory(path.parent)
        return path.with_name(name)
    aside = path.parent / name
    aside.write_bytes(path.read_bytes())
    path.unlink()
    return aside


@contextmanager
def local_copy(path: Place) -> Iterator[Path]:
    """Yield the file itself, or for the block's time a copy of the object for what reads only files of this machine.

    Raises OSError as reading it does.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        copy.write_bytes(path.read_bytes())
        yield copy


def read_safetensors(path: Place | str, expected: str, label: str = "") -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Return the tensors of a safetensors file, and its metadata.

    Raises UserError naming the file (with `label` in front) and what was `expected` when it is not there or cannot be
    read.
    """
    with _opened(path, expected, label) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no mapping


def read_metadata(path: Place | str, expected: str, label: str = "") -> dict[str, str]:
    """Return the metadata of a safetensors file alone. Raises UserError as `read_safetensors` does."""
    with _opened(path, expected, label) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Place | str, expected: str, label: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    check_is_file(place(path), expected, label)
    try:
        with local_copy(place(path)) as copy, safe_open(copy, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{label}{str(path)!r} cannot be read ({error}): expected {expected}") from error
