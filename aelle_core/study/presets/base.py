"""What a preset is, and how one is found."""

from abc import ABC, abstractmethod
from typing import ClassVar

from aelle_core.registry import Registry
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
