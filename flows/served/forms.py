"""What the forms in Prefect's UI hold: a preset, what is to be different from it, and what packs may take."""

from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from aelle_core.cells import cells
from aelle_core.foundation.errors import UserError
from aelle_core.study import Study, changed_study, get_preset, presets, read_options
from aelle_core.tasks import tasks
from aelle_core.training import trainers
from flows.parameters import Resources, StudyParameters
from flows.served.settings import ServedSettings

_QUANTITIES = {"scale"}
_QUANTITIES |= {name for trainer in trainers.values() for name in trainer.ranges}
_QUANTITIES |= {name for cell in cells.values() for name in cell.defaults}
_EVERY = "every cell"
_SAME = "as in the preset"
_Empty: Any = Annotated[None, SkipJsonSchema()]
_OFFERED = ("networks", "epochs", "cells", "units", "task", "spectra", "batch_size", "pack_size", "seed")


class RangeChange(BaseModel):
    """The range that a quantity is drawn from, network by network."""

    model_config = ConfigDict(extra="forbid", field_title_generator=lambda name, _: name)

    cell: Literal[(_EVERY, *cells)] = Field(_EVERY, description="Whose range it is")  # type: ignore[valid-type]
    quantity: Literal[tuple(sorted(_QUANTITIES))] = Field(  # type: ignore[valid-type]
        "learning_rate",
        description="Initial scale, learning rate, clip of the gradient, or a constant of the cell's equation",
    )
    low: float = Field(0.001, ge=-1e6, le=1e6, description="Lower end")
    high: float = Field(0.01, ge=-1e6, le=1e6, description="Upper end; the lower end again for a constant")
    spacing: Literal["log", "linear"] = Field("log", description="Drawn evenly in the logarithm, or in the value")


class TaskOption(BaseModel):
    """An option of the task, such as target = price for sequences of your own."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("target", max_length=64, description="Its name, such as target, sequence, time or window")
    value: str = Field("", max_length=1000, description="Its value: a text, a number, true or false, or JSON")


class _Changes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    if TYPE_CHECKING:
        ranges: list[RangeChange] = []
        options: list[TaskOption] = []
        data: str = ""

    def study(self, preset: str, settings: ServedSettings) -> Study:
        """Return the preset with these changes. Raises UserError where they do not fit, where `data` is not below the
        server's data, and where an option would name data in another way."""
        held = self.model_dump(exclude={"ranges", "options", "data"})
        changes = {name: value for name, value in held.items() if value not in (None, [], _SAME)}
        data = settings.data_place(self.data) if self.data else None
        if self.ranges:
            ranges: dict[str, Any] = {}
            for one in self.ranges:
                of_cell = ranges.setdefault("*" if one.cell == _EVERY else one.cell, {})
                of_cell[one.quantity] = [one.low, one.high, one.spacing]
            changes["ranges"] = ranges
        return changed_study(get_preset(preset), data, self._options(), **changes)

    def _options(self) -> dict[str, Any]:
        places = {task.data_option for task in tasks.values()}
        for one in self.options:
            if one.name in places:
                raise UserError(f"option {one.name!r} names data: expected them in the field data")
        return read_options([f"{one.name}={one.value}" for one in self.options])


def _drop_default(schema: dict[str, Any]) -> None:
    """Remove a default of null, which the form would show as a field of another type."""
    schema.pop("default", None)


def _entry(name: str, field: FieldInfo, of_preset: bool = False) -> tuple[Any, Any]:
    """Return a setting as a field of a form; `of_preset`: one that may be left empty, for what the preset has."""
    title = " ".join({"cpus": "CPUs", "gpus": "GPUs"}.get(word, word) for word in name.split("_"))
    description = f"{field.description}; empty: as in the preset" if of_preset else field.description
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    may_be_none = len(kinds) < len(get_args(field.annotation))
    if of_preset and get_origin(field.annotation) is list:
        return field.annotation, Field([], title=title, description=description)
    if of_preset and get_origin(field.annotation) is Literal:  # a drop-down that is left empty would be refused
        return Literal[(_SAME, *kinds)], Field(_SAME, title=title, description=field.description)
    if not (of_preset or may_be_none):
        return field.annotation, FieldInfo.merge_field_infos(field, title=title)
    bare = Union[tuple(kinds)] if may_be_none else field.annotation  # noqa: UP007 - as many as there are
    given: Any = Annotated[bare, Field(), *field.metadata]
    empty = Field(None, title=title, description=description, json_schema_extra=_drop_default)
    return given | _Empty, empty


_RANGES: Any = Field([], title="ranges", description="Ranges to draw from, in place of the preset's")
_OPTIONS: Any = Field([], title="options", description="Options of the task, in place of the preset's")
_DATA: Any = Field(
    "", title="data", description="File or directory of the task's data, by its name on the server; empty: the bundled"
)

if TYPE_CHECKING:
    PresetName = str
    Changes = _Changes
    PackResources = Resources
else:
    PresetName = Literal[tuple(presets())]
    Changes = create_model(
        "Changes",
        __base__=_Changes,
        __doc__="What is to be different from the preset.",
        **{name: _entry(name, StudyParameters.model_fields[name], of_preset=True) for name in _OFFERED},
        ranges=(list[RangeChange], _RANGES),
        options=(list[TaskOption], _OPTIONS),
        data=(str, _DATA),
    )
    PackResources = create_model(
        "PackResources",
        __config__=ConfigDict(extra="forbid"),
        __doc__="What each pack of networks takes on the cluster.",
        **{name: _entry(name, field) for name, field in Resources.model_fields.items() if name != "ray_address"},
    )


def resources(packs: PackResources, settings: ServedSettings) -> Resources:
    """Return what packs take, on the cluster that the server's owner has named."""
    return Resources(ray_address=settings.ray_address, **packs.model_dump())


class Submitted(NamedTuple):
    """What a submitted form asks for: the study, where its results go, what packs take."""

    study: StudyParameters
    directory: str
    resources: Resources


def submitted(preset: str, results: str, changes: Changes, packs: PackResources) -> Submitted:
    """Translate a form's fields; results without a name get the study's.

    Raises UserError where the preset, its changes, the name and the server's settings do not fit together.
    """
    settings = ServedSettings()
    study = changes.study(preset, settings)
    directory = settings.results(results or study.name)
    return Submitted(StudyParameters(**study.to_dict()), directory, resources(packs, settings))
