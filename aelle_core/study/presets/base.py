"""What a preset is, and how one is found."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from aelle_core.foundation.registry import Registry
from aelle_core.study.model import Study


class Preset(ABC):
    """A study under a name, with what it is for in one line."""

    name: ClassVar[str]
    purpose: ClassVar[str]

    @staticmethod
    @abstractmethod
    def study() -> Study:
        """The study."""


registry: Registry[Preset] = Registry("preset", "aelle_core.study.presets")


def presets() -> dict[str, tuple[str, Study]]:
    """Preset name -> what it is for, and the study."""
    return {name: (preset.purpose, preset.study()) for name, preset in registry.items()}


def get_preset(name: str) -> Study:
    """The study of a preset. Raises UserError, naming the known ones, when there is none of that name."""
    return registry[name].study()


def changed_study(base: Study, data: str | None = None, **changes: Any) -> Study:
    """`base` with those changes that are not None, and with the user's `data` for its task. Another task does not take
    the options of the base's. Raises UserError where the study cannot be."""
    from aelle_core.tasks import tasks

    changes = {name: value for name, value in changes.items() if value is not None}
    task = changes.get("task", base.task)
    options = dict(base.task_options) if task == base.task else {}
    if data is not None:
        options[tasks[task].data_option] = data
    return base.replace(**{**changes, "task_options": options})
