"""Target learning at the paper's size."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

RANGES = {"rank1": {"scale": [1.0, 2.0, "linear"]}}


@registry.register("paper-target")
class PaperTarget(Preset):
    """Vogt et al. 2024, section 4.1; spectra at 0, 10, 20, 50 and 100 % of training.

    Gain and seed vary, nothing else: the authors' script (TargetLearning/LE_generation/main.py of LyapunovAutoEncode)
    takes the gains 1.0, 1.1, ..., 2.0 of 512 units; here they are drawn between these ends.
    """

    purpose = "The paper's target learning: 1,200 rank-one networks of 512 units, FORCE; some 40 hours of a core"

    @staticmethod
    def study() -> Study:
        return Study(
            name="paper-target",
            task="target_learning",
            cells=("rank1",),
            units=(512,),
            networks=1200,
            epochs=15,
            ranges=RANGES,
            spectrum_epochs=(0, 1, 2, 3, 8, 15),
            threshold=0.57,
        )
