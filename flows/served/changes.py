"""What may differ from a preset: its networks and data, and the details of their training."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from aelle_core.cells import cells
from aelle_core.foundation.errors import UserError
from aelle_core.study import Study, changed_study, get_preset, read_options
from aelle_core.tasks import tasks
from aelle_core.training import trainers
from flows.parameters import StudyParameters
from flows.served.fields import SAME, Group, entry
from flows.served.folding import Folded, folded_title
from flows.served.settings import ServedSettings

_QUANTITIES = {"scale"}
_QUANTITIES |= {name for trainer in trainers.values() for name in trainer.ranges}
_QUANTITIES |= {name for cell in cells.values() for name in cell.defaults}
_EVERY = "every cell"


class RangeChange(Group):
    """The range that a quantity is drawn from, network by network."""

    cell: Literal[(_EVERY, *cells)] = Field(_EVERY, description="Whose range it is")  # type: ignore[valid-type]
    quantity: Literal[tuple(sorted(_QUANTITIES))] = Field(  # type: ignore[valid-type]
        "learning_rate",
        description="Initial scale, learning rate, clip of the gradient, or a constant of the cell's equation",
    )
    low: float = Field(0.001, ge=-1e6, le=1e6, description="Lower end")
    high: float = Field(0.01, ge=-1e6, le=1e6, description="Upper end; the lower end again for a constant")
    spacing: Literal["log", "linear"] = Field("log", description="Drawn evenly in the logarithm, or in the value")


class TaskOption(Group):
    """An option of the task, such as target = price for sequences of your own."""

    name: str = Field("target", max_length=64, description="Its name, such as target, sequence, time or window")
    value: str = Field("", max_length=1000, description="Its value: a text, a number, true or false, or JSON")


class Settings(Group):
    """Settings of a study that are left empty for what the preset has."""

    def changed(self) -> dict[str, Any]:
        """Return the settings that were given, by their names in Study."""
        held = self.model_dump(exclude={"ranges", "options", "data"})
        changes = {name: value for name, value in held.items() if value not in (None, [], SAME)}
        ranges: dict[str, Any] = {}
        for one in getattr(self, "ranges", []):
            of_cell = ranges.setdefault("*" if one.cell == _EVERY else one.cell, {})
            of_cell[one.quantity] = [one.low, one.high, one.spacing]
        return changes | ({"ranges": ranges} if ranges else {})


class _Changes(Settings):
    if TYPE_CHECKING:
        data: str = ""


class _Details(Settings):
    if TYPE_CHECKING:
        options: list[TaskOption] = []

    def task_options(self) -> dict[str, Any]:
        """Return the options of the task. Raises UserError where one names data, which have a field of their own."""
        places = {task.data_option for task in tasks.values()}
        for one in self.options:
            if one.name in places:
                raise UserError(f"option {one.name!r} names data: expected them in the field data")
        return read_options([f"{one.name}={one.value}" for one in self.options])


def _settings(*names: str) -> Any:
    return {name: entry(name, StudyParameters.model_fields[name], of_preset=True) for name in names}


_RANGES: Any = Field([], title="ranges", description="Ranges to draw from, in place of the preset's")
_OPTIONS: Any = Field([], title="options", description="Options of the task, in place of the preset's")
_DATA: Any = Field(
    "", title="data", description="File or directory of the task's data, by its name on the server; empty: the bundled"
)

if TYPE_CHECKING:
    Changes = _Changes
    Details = _Details
    Training = Settings
else:
    Changes = create_model(
        "Changes",
        __base__=_Changes,
        __doc__="Networks and data that differ from the preset's.",
        **_settings("networks", "epochs", "cells", "units", "seed"),
        data=(str, _DATA),
    )
    Details = create_model(
        "Details",
        __base__=_Details,
        __doc__="Task, ranges and training that differ from the preset's.",
        **_settings("task"),
        options=(list[TaskOption], _OPTIONS),
        ranges=(list[RangeChange], _RANGES),
        **_settings("spectra", "batch_size", "pack_size"),
    )
    Training = create_model(
        "Training",
        __base__=Settings,
        __doc__="How networks are trained.",
        **_settings("epochs", "units", "seed", "batch_size", "pack_size"),
        ranges=(list[RangeChange], _RANGES),
    )

ChangesGroup = Annotated[Changes, Folded(SAME, "changed"), folded_title("changes")]
DetailsGroup = Annotated[Details, Folded(SAME, "changed"), folded_title("details")]
TrainingGroup = Annotated[Training, Folded("as usual", "changed"), folded_title("training")]


def changed_preset(preset: str, changes: Changes, details: Details, settings: ServedSettings) -> Study:
    """Return the preset with these changes.

    Raises UserError where they do not fit, where `changes.data` is not below the server's data, and where an option
    would name data in another way.
    """
    data = settings.data_place(changes.data) if changes.data else None
    options = details.task_options()
    return changed_study(get_preset(preset), data, options, **changes.changed(), **details.changed())
