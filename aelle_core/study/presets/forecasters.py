"""Forecasters of one of several systems, for the question whether what tells good ones is the same for all."""

from typing import Any

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.lorenz import RANGES

SYSTEMS: dict[str, dict[str, Any]] = {
    "lorenz63": {"system": "lorenz63"},
    "rossler": {"system": "rossler"},
    "mackey_glass": {"system": "mackey_glass", "parameters": {"delay": 23.0, "points": 47.0}},
    "duffing": {"system": "duffing"},
}
"""Task options by name: systems of one, three and four features, whose largest exponents are known."""


@registry.register("forecasters")
class Forecasters(Preset):
    """GRUs and reservoirs that forecast Lorenz-63, or another system by `--option system=rossler`; studies of several
    systems are joined by `aelle analyse ... --together`, which leaves one out at a time."""

    purpose = "Forecasters of one system by --option system=NAME, smaller than lorenz; to be compared across systems"

    @staticmethod
    def study() -> Study:
        return Study(
            name="forecasters",
            task="forecast",
            task_options=SYSTEMS["lorenz63"],
            cells=("gru", "esn"),
            units=(24,),
            networks=32,
            epochs=6,
            batch_size=16,
            ranges=RANGES,
            spectra=("closed_loop",),
            exponents=8,
            spectrum_epochs=(0, 6),
            spectrum_sequences=8,
            goal="climate",
            pack_size=32,
        )
