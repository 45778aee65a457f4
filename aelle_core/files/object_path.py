"""An object of an object store: the part of pathlib.Path that is used here."""

import fnmatch
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_CONNECT_SECONDS = 5.0
_REQUEST_SECONDS = 10.0  # without a byte
_ATTEMPTS = 3


class ObjectPath:
    """An object of an object store, or what lies below a prefix: the part of pathlib.Path that is used here.

    There are no directories to make, and no rename: an object appears when the last byte of its upload has arrived.
    Comparing, hashing and pickling go by the address. Methods raise OSError where the store does not answer, denies
    access or has no such bucket, and FileNotFoundError where there is no such object.
    """

    def __init__(self, scheme: str, key: str, options: tuple[tuple[str, str], ...] = ()) -> None:
        self.scheme = scheme
        self.key = key.strip("/")
        self.options = options

    @property
    def filesystem(self) -> "pafs.FileSystem":
        """Return pyarrow's file system, in which this object is called `key`."""
        return _filesystem(self.scheme, self.options)

    def __str__(self) -> str:
        query = f"?{urlencode(self.options)}" if self.options else ""
        return f"{self.scheme}://{quote(self.key, safe='/=')}{query}"

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.scheme, f"{self.key}/{name}", self.options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: "ObjectPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectPath, (self.scheme, self.key, self.options)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.key.split("/", 1)[0]

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        """The last part's suffix, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> "ObjectPath":
        """What this lies in; the bucket is its own parent."""
        parent = str(PurePosixPath(self.key).parent)
        return self if parent == "." else ObjectPath(self.scheme, parent, self.options)

    def is_file(self) -> bool:
        """Return whether there is such an object."""
        return bool(self.filesystem.get_file_info(self.key).is_file)

    def is_dir(self) -> bool:
        """Return whether there is anything below this."""
        kind = self.filesystem.get_file_info(self.key).type.name
        return kind == "Directory" or (kind == "NotFound" and self.scheme == "gs" and any(self.iterdir()))

    def exists(self) -> bool:
        """Return whether there is such an object, or anything below this."""
        kind = self.filesystem.get_file_info(self.key).type.name
        return kind != "NotFound" or (self.scheme == "gs" and any(self.iterdir()))

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Return what lies directly below this; nothing where there is nothing."""
        from pyarrow.fs import FileSelector

        # Google's prefixes are no directories to pyarrow unless it has made them itself: it shows what lies in them.
        deep = self.scheme == "gs"
        names: dict[str, None] = {}
        for entry in self.filesystem.get_file_info(FileSelector(self.key, allow_not_found=True, recursive=deep)):
            names[entry.path[len(self.key) + 1 :].split("/")[0]] = None
        return (self / name for name in names)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Return what lies directly below this and has such a name."""
        return (entry for entry in self.iterdir() if fnmatch.fnmatchcase(entry.name, pattern))

    def read_bytes(self) -> bytes:
        """Return the object's content."""
        with self.filesystem.open_input_stream(self.key) as stream:
            return stream.read()

    def read_text(self) -> str:
        """Return the object's content, UTF-8."""
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        """Upload an object, whole or not at all.

        pyarrow completes an upload even where its stream is left by an exception, so that all is handed over in one
        call. It does so after a failed part, too, unless parts are written in the background: see `_filesystem`.
        """
        stream = self.filesystem.open_output_stream(self.key)
        stream.write(content)
        stream.close()

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            self.filesystem.delete_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise


@lru_cache(maxsize=64)
def _filesystem(scheme: str, options: tuple[tuple[str, str], ...]) -> "pafs.FileSystem":
    """One connection for each process and endpoint; nothing waits for an endpoint longer than about half a minute."""
    from datetime import timedelta

    from pyarrow import fs

    given: dict[str, Any] = {name: value == "true" if name == "anonymous" else value for name, value in options}
    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_ATTEMPTS * _REQUEST_SECONDS), **given)
    return fs.S3FileSystem(
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        background_writes=True,  # without it a failed part is followed by completing the others: half an object
        allow_delayed_open=True,  # one request for a small object
        **given,
    )
