"""Row-wise sequential MNIST at the paper's size, with wider ranges than the paper's."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

CELLS = ("rnn", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem", "ornn")
"""The paper's eight, and orthogonal networks."""


@registry.register("wide-smnist")
class WideSMNIST(Preset):
    """Each cell's scale over a factor of 75, and learning rate and step: what no spectrum before training knows."""

    purpose = "Row-wise sequential MNIST, wider ranges than the paper's: 1,800 networks of nine cells; for a GPU"

    @staticmethod
    def study() -> Study:
        return Study(
            name="wide-smnist",
            task="smnist",
            cells=CELLS,
            units=(64,),
            networks=200,
            epochs=10,
            batch_size=128,
            spectrum_epochs=(0, 1, 2, 3, 4, 5, 10),
        )
