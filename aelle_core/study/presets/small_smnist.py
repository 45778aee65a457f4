"""Row-wise sequential MNIST on a laptop."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.wide_smnist import CELLS


@registry.register("small-smnist")
class SmallSMNIST(Preset):
    """The wide ranges with smaller networks on a tenth of the images."""

    purpose = "Row-wise sequential MNIST: 576 networks of nine cells, 32 units, a tenth of the images"

    @staticmethod
    def study() -> Study:
        return Study(
            name="small-smnist",
            task="smnist",
            task_options={"training_examples": 5000, "validation_examples": 1000},
            cells=CELLS,
            units=(32,),
            networks=64,
            epochs=10,
            batch_size=128,
            spectrum_epochs=(0, 1, 2, 3, 4, 5, 10),
        )
