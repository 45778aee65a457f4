"""Which trained forecasters keep behaving when they run on their own output?"""

from typing import Any

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

RANGES: dict[str, Any] = {
    "*": {
        "scale": [0.03, 1],
        "learning_rate": [3e-4, 2e-2],
        "input_noise": [0.003, 0.3],
        "clip": [0.05, 5],
        "residual": ["no", "yes"],
    }
}
CELLS = ("gru", "lstm", "plrnn", "esn")


@registry.register("lorenz")
class Lorenz(Preset):
    """Forecasters of Lorenz-63 by climate: the loss is blind to what their closed loops' exponents show."""

    purpose = "Forecasters of Lorenz-63, judged by the climate of their free runs: minutes on two cores, no download"

    @staticmethod
    def study() -> Study:
        return Study(
            name="lorenz",
            task="forecast",
            task_options={"system": "lorenz63"},
            cells=CELLS,
            units=(24,),
            networks=40,
            epochs=8,
            batch_size=16,
            ranges=RANGES,
            spectra=("closed_loop", "full"),
            exponents=8,
            spectrum_sequences=8,
            goal="climate",
            pack_size=40,
        )
