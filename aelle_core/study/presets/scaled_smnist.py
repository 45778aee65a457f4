"""Row-wise sequential MNIST by the paper's protocol on a tenth of the images."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.paper_smnist import PaperSMNIST


@registry.register("scaled-smnist")
class ScaledSMNIST(Preset):
    """The paper's protocol, cells, ranges and size, on 5,000 images: 32 networks of each cell."""

    purpose = "The paper's row-wise sequential MNIST on a tenth of the images: 256 networks, 64 units"

    @staticmethod
    def study() -> Study:
        return PaperSMNIST.study().replace(
            name="scaled-smnist",
            task_options={"training_examples": 5000, "validation_examples": 1000},
            networks=32,
        )
