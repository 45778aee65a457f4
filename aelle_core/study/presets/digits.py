"""The main job."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

_CELLS = ("rnn", "rnn_relu", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem", "ornn")


@registry.register("digits")
class Digits(Preset):
    """Every cell that reads inputs, on a task that needs no download."""

    purpose = "Ten cells on scikit-learn's handwritten digits: minutes on two cores, no download"

    @staticmethod
    def study() -> Study:
        return Study(
            name="digits",
            task="digits",
            task_options={"pixels": 4, "delay": 6},
            cells=_CELLS,
            networks=32,
            epochs=12,
        )
