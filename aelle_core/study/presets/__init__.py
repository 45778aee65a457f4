"""Studies that can be run by name, one file each."""

from aelle_core.study.presets.base import Preset, get_preset, presets

__all__ = ["Preset", "get_preset", "presets"]
