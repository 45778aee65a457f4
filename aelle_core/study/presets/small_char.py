"""Character language model on a laptop."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry


@registry.register("small-char")
class SmallChar(Preset):
    """The paper's protocol with smaller networks on the text that Python carries, a ninth of War and Peace: sequences
    of 50 and half of the text for each network leave them 920 updates, where the paper's have 1,590."""

    purpose = "Character language model: 240 LSTMs of 32 to 48 units on Python's own documentation, no download"

    @staticmethod
    def study() -> Study:
        return Study(
            name="small-char",
            task="charlm",
            task_options={"steps": 50, "share": 0.5},
            cells=("lstm",),
            units=(32, 40, 48),
            networks=80,
            epochs=10,
            batch_size=32,
            ranges={"lstm": {"scale": [0.04, 0.4, "linear"], "learning_rate": 2e-3}},
        )
