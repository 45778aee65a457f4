"""Row-wise sequential MNIST at the paper's size."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

CELLS = ("rnn", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem", "ornn")
"""The paper's eight, and orthogonal networks."""


@registry.register("paper-smnist")
class PaperSMNIST(Preset):
    """Vogt et al. 2024, section 4.3; spectra at the epochs from which the early prediction is made, and the last."""

    purpose = "The paper's row-wise sequential MNIST: 1,800 networks of nine cells, 64 units; for a GPU"

    @staticmethod
    def study() -> Study:
        return Study(
            name="paper-smnist",
            task="smnist",
            cells=CELLS,
            units=(64,),
            networks=200,
            epochs=10,
            batch_size=128,
            spectrum_epochs=(0, 1, 2, 3, 4, 5, 10),
            threshold=0.22,
        )
