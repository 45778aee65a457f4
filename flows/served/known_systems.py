"""What the form for forecasters offers: the known systems and the cells that learn them, and the study of one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from aelle_core.study import Study, changed_study, get_preset
from aelle_core.systems import get_system, systems
from flows.served.changes import Training
from flows.served.fields import cells_of, filled

if TYPE_CHECKING:
    SystemName = str
    ForecastCell = str
else:
    SystemName = Literal[tuple(systems)]
    ForecastCell = cells_of("forecast")


def study_of_system(system: str, changes: Mapping[str, Any], training: Training) -> Study:
    """Return the preset `lorenz` on another system, with networks that are large enough for its features.

    `changes` count where they are not empty.
    """
    preset = get_preset("lorenz")
    units = (max(*preset.units, get_system(system).features),)
    changed = {"units": units, **filled(changes), **training.changed()}
    return changed_study(preset, None, {"system": system}, name=f"forecast-{system}", **changed)
