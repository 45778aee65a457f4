"""What a preset is, and how one is found."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry
from aelle_core.study.model import Study


class Preset(ABC):
    """A study under a name, with what it is for in one line."""

    name: ClassVar[str]
    purpose: ClassVar[str]

    @staticmethod
    @abstractmethod
    def study() -> Study:
        """Return the study."""


registry: Registry[Preset] = Registry("preset", "aelle_core.study.presets")


def presets() -> dict[str, tuple[str, Study]]:
    """Preset name -> what it is for, and the study."""
    return {name: (preset.purpose, preset.study()) for name, preset in registry.items()}


def get_preset(name: str) -> Study:
    """Return the study of a preset. Raises UserError, naming the known ones, when there is none of that name."""
    return registry[name].study()


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return options of a task from texts NAME=VALUE; values that are no JSON are texts. Raises UserError on anything
    else, and on a name that is given twice."""
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"option {text!r}: expected NAME=VALUE")
        if name in options:
            raise UserError(f"option {name!r} is given twice: expected it once; several columns are named as A,B")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def changed_study(
    base: Study, data: str | None = None, options: Mapping[str, Any] | None = None, **changes: Any
) -> Study:
    """Return `base` with those changes that are not None, with the user's `data` for its task and further `options` of
    the task. Another task does not take the options of the base's. Raises UserError where the study cannot be."""
    from aelle_core.tasks import tasks

    changes = {name: value for name, value in changes.items() if value is not None}
    task = changes.get("task", base.task)
    taken = (dict(base.task_options) if task == base.task else {}) | dict(options or {})
    if data is not None:
        taken[tasks[task].data_option] = data
    return base.replace(**{**changes, "task_options": taken})
