"""Where files lie: a path of this machine, or an object below an address such as s3://bucket/prefix."""

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from aelle_core.files.object_path import ObjectPath
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OPTIONS = {
    "s3": ("anonymous", "endpoint_override", "region", "scheme"),
    "gs": ("anonymous", "endpoint_override", "scheme"),
}
_AT_ONCE = 16
_LONGEST, _LONGEST_NAME = 4095, 255  # of a path and of each of its parts, in Linux
Item = TypeVar("Item")
Result = TypeVar("Result")


Place = Path | ObjectPath


def place(address: "str | os.PathLike[str] | ObjectPath") -> Place:
    """Return the place of that path or address: s3://bucket/prefix, gs://bucket/prefix, file:///directory or a plain
    path.

    `endpoint_override` and `scheme` in an address's query name another server than the provider's own, `region` a
    region of S3. Credentials come from the environment; with `anonymous=true` none are looked for. Raises UserError
    when an address has another form, names an unknown scheme or option, or carries credentials.
    """
    if isinstance(address, ObjectPath):
        return address
    text = os.fspath(address)
    if "\0" in text or not text or len(text) > _LONGEST:
        shown = text if len(text) < 80 else f"{text[:80]}..."
        raise UserError(f"{shown!r} is no name of a file or directory: expected 1 to {_LONGEST} characters without NUL")
    if (match := _ADDRESS.match(text)) is None:
        return local(text)
    scheme = match[1].lower()
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UserError(f"{text!r}: {error}; expected {scheme}://bucket/prefix") from error
    if "@" in parts.netloc:
        plain = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise UserError(f"{plain!r} was given with credentials in it: expected them in the environment alone")
    if scheme == "file":
        if parts.netloc or parts.query or parts.fragment:
            raise UserError(f"{text!r}: expected file:///an/absolute/path")
        return Path(unquote(parts.path))
    if scheme not in _OPTIONS:
        known = ", ".join(f"{scheme}://" for scheme in _OPTIONS)
        raise UserError(f"{scheme}:// is not known: expected a path, file://, {known}")
    options = parse_qsl(parts.query, keep_blank_values=True)
    if unknown := sorted({name for name, _ in options} - set(_OPTIONS[scheme])):  # their values may be secrets
        raise UserError(
            f"address {scheme}://{parts.netloc}{parts.path} has unknown options {', '.join(unknown)}: expected some of "
            f"{', '.join(_OPTIONS[scheme])}"
        )
    if dict(options).get("anonymous", "true") != "true":
        raise UserError(f"{text!r}: expected anonymous=true, or nothing of it")
    if not parts.netloc or parts.fragment:
        raise UserError(f"{text!r}: expected {scheme}://bucket/prefix")
    return ObjectPath(scheme, unquote(parts.netloc + parts.path), tuple(sorted(options)))


def local(text: "str | os.PathLike[str]") -> Path:
    """Return the path of this machine, with the home directory in the place of ~. Raises UserError where there is
    none, and where no file can have such a name."""
    path = Path(text)
    encoded = os.fsencode(path)
    if b"\0" in encoded or len(encoded) > _LONGEST or any(len(name) > _LONGEST_NAME for name in encoded.split(b"/")):
        why = "a NUL" if b"\0" in encoded else f"{len(str(path))} characters"
        shown = str(path) if len(str(path)) < 80 else f"{str(path)[:80]}..."
        raise UserError(f"{shown!r} can be no file's name: it has {why}; expected a path")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"{str(path)!r}: there is no home directory of {path.parts[0]!r}; expected a path") from error


def check_is_file(where: Place, expected: str, label: str = "") -> None:
    """Raise UserError where nothing is (from FileNotFoundError), and where a directory, a pipe or a device is: reading
    it may never end.

    To be called before anything is said of a file's name or content. `expected` is what the sentence ends with, and
    `label` what it begins with. A place that does not answer is left to whoever opens the file.
    """
    try:
        if not isinstance(where, Path):
            if not where.is_file():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(where))
        elif not stat.S_ISREG(where.stat().st_mode):
            raise UserError(f"{label}{str(where)!r} is a directory, a pipe or a device: expected {expected}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{label}{str(where)!r} is not there: expected {expected}") from error
    except OSError:
        return


def check_is_directory(where: Path, expected: str, label: str = "") -> None:
    """Raise UserError where nothing is, and where something else than a directory is; see `check_is_file`."""
    if not where.exists():
        raise UserError(f"{label}{str(where)!r} is not there: expected {expected}")
    if not where.is_dir():
        raise UserError(f"{label}{str(where)!r} is no directory: expected {expected}")


def resolved(address: "str | os.PathLike[str] | ObjectPath") -> str:
    """Return the address in a form that holds in any working directory. Raises UserError as `place` does."""
    path = place(address)
    try:
        return str(path.resolve() if isinstance(path, Path) else path)
    except (OSError, RuntimeError) as error:  # a loop of links
        raise UserError(f"{str(path)!r} cannot be used ({error}): expected a path that ends somewhere") from error


def arrow_file(where: Place) -> "tuple[str, pafs.FileSystem]":
    """Return a file's path and pyarrow's file system in which it is called so."""
    from pyarrow.fs import LocalFileSystem

    return (str(where), LocalFileSystem()) if isinstance(where, Path) else (where.key, where.filesystem)


def files_below(root: Place) -> list[tuple[str, list[str]]]:
    """Return the names of all files below `root`, by directory relative to it, in order; without names that start with
    `_` or `.`, in whose place something is only being made. Nothing where there is no such directory.

    Raises OSError when something cannot be listed: passing over it would lose it in silence.
    """
    names_by_directory: dict[str, list[str]] = {}
    if isinstance(root, Path):
        _collect(str(root), "", names_by_directory, ())
    else:
        from pyarrow.fs import FileSelector

        start = len(root.key) + 1
        for info in root.filesystem.get_file_info(FileSelector(root.key, recursive=True, allow_not_found=True)):
            directory, _, name = info.path[start:].rpartition("/")
            if info.is_file and not any(part.startswith(("_", ".")) for part in (*directory.split("/"), name) if part):
                names_by_directory.setdefault(directory, []).append(name)
    return [(directory, sorted(names)) for directory, names in sorted(names_by_directory.items())]


def _collect(
    directory: str, relative: str, names_by_directory: dict[str, list[str]], above: tuple[tuple[int, int], ...]
) -> None:
    names: list[str] = []
    below: list[str] = []
    try:
        known = os.stat(directory)
        identity = (known.st_dev, known.st_ino)
        if identity in above:
            raise OSError(errno.ELOOP, "a link leads back to a directory above it", directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.name.startswith(("_", ".")):
                    (below if entry.is_dir() else names).append(entry.name)
    except FileNotFoundError:  # removed since its parent was listed
        return
    if names:
        names_by_directory[relative] = names
    for name in below:
        _collect(
            f"{directory}/{name}", f"{relative}/{name}" if relative else name, names_by_directory, (*above, identity)
        )


def each_of(where: Place, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the function's results: of many at a time on an object store, where every one waits for answers."""
    if isinstance(where, Path) or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, items))


def has_no_answer(error: Exception) -> bool:
    """Return whether an object store has not answered or has refused, rather than the content being wrong."""
    return isinstance(error, OSError) and re.search(r"AWS Error|google::cloud|curl", str(error)) is not None


def unreachable(where: Place, error: Exception) -> UserError:
    """Return the error to raise for a place that cannot be read or written."""
    expected = "expected a directory that can be read and written"
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(where, ObjectPath):
        expected = "expected credentials in the environment that may read and write there"
        if re.search("NO_SUCH_BUCKET|NOT_FOUND", reason):
            expected = "expected a bucket that exists"
        elif re.search("NETWORK_CONNECTION|UNAVAILABLE", reason) and "OAuth2" not in reason:
            expected = "expected an endpoint that answers"
    return UserError(f"{str(where)!r} cannot be used ({_in_a_sentence(reason)}): {expected}")


def _in_a_sentence(reason: str) -> str:
    """Return the part of pyarrow's message that says what happened, in one line and without the request's number."""
    line = " ".join(reason.split())
    return re.sub(r" \(Request ID: [^)]*\)| error_info=.*", "", line)[:300]
