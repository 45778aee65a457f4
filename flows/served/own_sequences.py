"""What the forms for one's own sequences share: what is learned by which cells, and where it stands in a table."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from aelle_core.study import Study, changed_study, get_preset
from flows.served.changes import Training
from flows.served.fields import Group, cells_of, filled
from flows.served.folding import Folded, folded_title, titled
from flows.served.settings import ServedSettings

if TYPE_CHECKING:
    OwnCell = str
else:
    OwnCell = cells_of("arrays")


class Columns(Group):
    """Columns of a table by name, where they are not called sequence, series or time."""

    sequence: str = Field("", description="Column that names the sequence of a row; empty: sequence or series, if any")
    time: str = Field("", description="Column that orders the rows of a sequence; empty: time, if there is one")
    ignore: str = Field("", description="Columns that are left out, separated by commas")


ColumnsGroup = Annotated[Columns, Folded("found by name", "named here"), folded_title("columns of a table")]
DataName = Annotated[str, Field(min_length=1), titled("file or directory")]
OptionalDataName = Annotated[str, titled("your own series")]
Target = Annotated[str, titled("column to learn")]
SUGGESTED: Final = "what the data suggest"
Learn = Annotated[
    Literal["what the data suggest", "classification", "regression", "forecasting"], titled("what to learn")
]


def own_study(
    preset: str,
    data: str,
    options: Mapping[str, str],
    columns: Columns,
    changes: Mapping[str, Any],
    training: Training,
    settings: ServedSettings,
) -> Study:
    """Return the preset's study on the file or directory `data` below the server's data, named after it.

    `options` and `changes` count where they are not empty. Raises UserError where there are no such data.
    """
    given, place = filled({**options, **columns.model_dump()}), settings.data_place(data)
    changed = {**filled(changes), **training.changed()}
    return changed_study(get_preset(preset), place, given, name=named_after(data), **changed)


def named_after(data: str) -> str:
    """Return a name for results, after a file.

    >>> named_after("heart rates/2024 spring.csv")
    '2024-spring'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(data).stem).strip("-_")[:64] or "arrays"
