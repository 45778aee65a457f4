"""Fields of forms, made from the settings that they stand for."""

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from aelle_core.cells import cells
from aelle_core.tasks import tasks
from aelle_core.training import trainers

Count = Annotated[int, Field(ge=1, le=1_000_000)]
SAME = "as in the preset"
_Empty: Any = Annotated[None, SkipJsonSchema()]


class Group(BaseModel):
    """Fields that belong together. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", field_title_generator=lambda name, _: name.replace("_", " "))


def _drop_default(schema: dict[str, Any]) -> None:
    """Remove a default of null, which the form would show as a field of another type."""
    schema.pop("default", None)


def entry(name: str, field: FieldInfo, of_preset: bool = False) -> tuple[Any, Any]:
    """Return a setting as a field of a form; `of_preset`: one that may be left empty, for what the preset has."""
    title = " ".join({"cpus": "CPUs", "gpus": "GPUs"}.get(word, word) for word in name.split("_"))
    description = f"{field.description}; empty: as in the preset" if of_preset else field.description
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    may_be_none = len(kinds) < len(get_args(field.annotation))
    if of_preset and get_origin(field.annotation) is list:
        return field.annotation, Field([], title=title, description=description)
    if of_preset and get_origin(field.annotation) is Literal:  # a drop-down that is left empty would be refused
        return Literal[(SAME, *kinds)], Field(SAME, title=title, description=field.description)
    if not (of_preset or may_be_none):
        return field.annotation, FieldInfo.merge_field_infos(field, title=title)
    bare = Union[tuple(kinds)] if may_be_none else field.annotation  # noqa: UP007 - as many as there are
    given: Any = Annotated[bare, Field(), *field.metadata]
    empty = Field(None, title=title, description=description, json_schema_extra=_drop_default)
    return given | _Empty, empty


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields that were not left empty."""
    return {name: value for name, value in values.items() if value}


def cells_of(task: str) -> Any:
    """Return the type of a drop-down: the names of the cells that can learn a task."""
    trained = trainers[tasks[task].trainer].trains
    return Literal[tuple(name for name, cell in cells.items() if issubclass(cell, trained))]
