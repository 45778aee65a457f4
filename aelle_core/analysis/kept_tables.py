"""The tables that a run keeps, so that they are made once."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from aelle_core.foundation.errors import UserError
from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.workers import ending_with_this

_FORMAT = "aelle-tables-3"
_SOURCES = ("evaluation", "aelle.py", "autoencoder.py", "interpolation.py", "analysis.py")
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch")


@cache
def makers_digest() -> str:
    """SHA-256 of the sources of what makes tables. Kept tables of another digest, or of other versions of the libraries
    that compute, are made anew; those that ship must be of this one."""
    found = hashlib.sha256(_FORMAT.encode())
    root = files("aelle_core")
    for source in _SOURCES:
        for each in sorted(_files(root.joinpath(source)), key=str):
            found.update(f"\n{each.name}\n".encode() + each.read_bytes())
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
    if path.exists():
        held, tables = read_tables(path)
        if held == _origin(settings):
            return tables
    with ending_with_this():
        tables = make()
    write_tables(path, settings, tables)
    return tables


def _origin(settings: dict[str, Any]) -> dict[str, Any]:
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"format": _FORMAT, "makers": makers_digest(), "libraries": libraries, **settings}


def write_tables(path: Place, settings: dict[str, Any], tables: Sequence[Table]) -> None:
    """Keep tables in a file, with the settings that they were made with and by what."""
    content = {"origin": _origin(settings), "tables": [dataclasses.asdict(table) for table in tables]}
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_tables(path: Place) -> tuple[dict[str, Any], list[Table]]:
    """What the tables in a file were made with, and the tables. Raises UserError naming the file when it is broken."""
    try:
        held = json.loads(path.read_text())
        tables = [Table(**{**one, "entries": [Entry(**entry) for entry in one["entries"]]}) for one in held["tables"]]
        return held["origin"], tables
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error!r}): expected a run's tables; remove it") from error
