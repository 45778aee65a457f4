"""Studies that can be run by name, one file each."""

from aelle_core.study.presets.base import Preset, changed_study, get_preset, presets, read_options

__all__ = ["Preset", "changed_study", "get_preset", "presets", "read_options"]
