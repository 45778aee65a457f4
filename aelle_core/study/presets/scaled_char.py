"""Character language model by the paper's ranges, at a cost that a laptop bears."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.paper_char import RANGES
from aelle_core.study.presets.small_char import SmallChar


@registry.register("scaled-char")
class ScaledChar(Preset):
    """`small-char` with what `paper-char` draws: biases start at zero, so that the half-width of the weights and the
    seed vary, nothing else."""

    purpose = "The paper's ranges for text: 240 LSTMs of 32 to 48 units on Python's own documentation, no download"

    @staticmethod
    def study() -> Study:
        return SmallChar.study().replace(name="scaled-char", ranges=RANGES)
