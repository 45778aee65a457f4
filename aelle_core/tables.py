"""The tables that a run keeps, so that they are made once."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from aelle_core.errors import UserError
from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.files import write_atomically
from aelle_core.places import Place

_FORMAT = "aelle-tables-1"


def kept_tables(path: Place, settings: dict[str, Any], make: Callable[[], list[Table]]) -> list[Table]:
    """The tables in the file `path` where they were made with these settings; else made, and kept there.

    Raises UserError naming the file when it is broken.
    """
    origin = {"format": _FORMAT, **settings}
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
