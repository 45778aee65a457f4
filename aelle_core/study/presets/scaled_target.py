"""Target learning by the paper's ranges, at a cost that a laptop bears."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.paper_target import RANGES
from aelle_core.study.presets.small_target import SmallTarget


@registry.register("scaled-target")
class ScaledTarget(Preset):
    """`small-target` with what `paper-target` draws: gains from 1 to 2. Half of the networks end well: the threshold is
    the median."""

    purpose = "The paper's gains for target learning: 240 rank-one networks of 128 units: some 15 minutes on two cores"

    @staticmethod
    def study() -> Study:
        return SmallTarget.study().replace(name="scaled-target", ranges=RANGES, threshold=None)
