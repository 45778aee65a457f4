"""The tables that a run keeps, so that they are made once."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from aelle_core.errors import UserError
from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.files import write_atomically
from aelle_core.places import Place

_FORMAT = "aelle-tables-2"
_SOURCES = ("evaluation", "aelle.py", "autoencoder.py", "interpolation.py", "analysis.py")
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch")


@cache
def makers_digest() -> str:
    """SHA-256 of all that decides the tables' numbers and words but for the data: the sources of what makes them, and
    the versions of the libraries that compute. Kept tables of another digest are made anew."""
    found = hashlib.sha256(_FORMAT.encode())
    root = files("aelle_core")
    for source in _SOURCES:
        for each in sorted(_files(root.joinpath(source)), key=str):
            found.update(f"\n{each.name}\n".encode() + each.read_bytes())
    for name in _LIBRARIES:
        found.update(f"\n{name} {version(name)}".encode())
    return found.hexdigest()


def _files(place: Traversable) -> Iterator[Traversable]:
    if place.is_file():
        if place.name.endswith((".py", ".toml")):
            yield place
    else:
        for each in place.iterdir():
            yield from _files(each)


def kept_tables(path: Place, settings: dict[str, Any], make: Callable[[], list[Table]]) -> list[Table]:
    """The tables in the file `path` where they were made with these settings by what would make them now; else made,
    and kept there.

    Raises UserError naming the file when it is broken.
    """
    origin = {"format": _FORMAT, "makers": makers_digest(), **settings}
    if path.exists():
        held, tables = _read(path)
        if held == origin:
            return tables
    tables = make()
    text = json.dumps({"origin": origin, "tables": [dataclasses.asdict(table) for table in tables]}, indent=1)
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return tables


def _read(path: Place) -> tuple[dict[str, Any], list[Table]]:
    try:
        held = json.loads(path.read_text())
        tables = [Table(**{**one, "entries": [Entry(**entry) for entry in one["entries"]]}) for one in held["tables"]]
        return held["origin"], tables
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error!r}): expected a run's tables; remove it") from error
