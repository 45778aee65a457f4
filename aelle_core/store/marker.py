"""The file that says what a store's directory is: by its name, as Polars takes any file that is not empty for one of
the dataset's."""

import json

from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place, unreachable
from aelle_core.store.schema import SCHEMA_VERSION, StoreError

_STEM = "_aelle-spectra-"
_MARKER = f"{_STEM}{SCHEMA_VERSION}"
_FORMER = "_aelle.json"
_FORMAT = "aelle-spectra"


def is_marked(root: Place) -> bool:
    """Return whether a directory is a store, of whatever version."""
    return (root / _MARKER).exists() or (root / _FORMER).exists()


def check_marked(root: Place, *, create: bool) -> None:
    """Return when `root` is a store of this version; `create` makes it one where there is nothing yet.

    Raises StoreError when it is another thing, or of another version, and when it cannot be reached.
    """
    try:
        if (root / _MARKER).exists():
            return
        if (root / _FORMER).exists():
            _check_former(root / _FORMER)
            if create:
                _mark(root)
                (root / _FORMER).unlink(missing_ok=True)
            return
        exists = root.exists()
        if exists and not root.is_dir():
            raise StoreError(f"{str(root)!r} is a file: expected a directory with spectra")
        names = [entry.name for entry in root.iterdir()] if exists else []
        if _MARKER in names:  # another process has made it meanwhile: it writes the marker first
            return
        if other := sorted(name for name in names if name.startswith(_STEM)):
            raise StoreError(f"{str(root / other[0])!r} says another version: expected {_MARKER}; use its own version")
        if not create and not exists:
            raise StoreError(f"{str(root)!r} is not there: expected a directory with spectra")
        if not create:
            raise StoreError(f"no spectra in {str(root)!r}: expected a directory with an empty file {_MARKER}")
        if any(not name.startswith(("_", ".")) for name in names):
            raise StoreError(f"{str(root)!r} holds other files: expected spectra ({_MARKER}) or nothing at all")
        _mark(root)
    except OSError as error:
        raise StoreError(str(unreachable(root, error))) from error


def _mark(root: Place) -> None:
    write_atomically(root / _MARKER, lambda temporary: temporary.write_bytes(b""))


def _check_former(path: Place) -> None:
    """Former versions wrote what the marker says into it."""
    try:
        content = json.loads(path.read_text())
        stated = (content["format"], content["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{str(path)!r} cannot be read ({error!r}): expected a store's marker") from error
    if stated != (_FORMAT, SCHEMA_VERSION):
        raise StoreError(f"{str(path)!r} says {stated}: expected {(_FORMAT, SCHEMA_VERSION)}; use its own version")
