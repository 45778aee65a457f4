"""Target learning on a laptop."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry


@registry.register("small-target")
class SmallTarget(Preset):
    """The paper's protocol with smaller networks and a period of 400 steps, not 1,200, which 128 units can learn."""

    purpose = "Target learning with 240 rank-one networks of 128 units, FORCE: some 15 minutes on two cores"

    @staticmethod
    def study() -> Study:
        return Study(
            name="small-target",
            task="target_learning",
            task_options={"period": 400, "spectrum_periods": 2},
            cells=("rank1",),
            units=(128,),
            networks=240,
            epochs=15,
            spectrum_epochs=(0, 1, 2, 3, 8, 15),
            threshold=0.57,
        )
