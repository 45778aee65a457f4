"""Row-wise sequential MNIST by the paper's protocol."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

CELLS = ("rnn", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem")
RANGES = {
    "*": {"scale": [0.04, 0.4, "linear"], "learning_rate": 0.01, "initialiser": "uniform_zero_bias"},
    "asrnn": {"step": 0.1},
    "cornn": {"step": 0.1},
    "lipschitz": {"step": 0.1},
    "noisy": {"step": 0.1},
    "lem": {"step": 1.0},
}
"""Initial half-width and seed vary, nothing else: biases zero, one learning rate, constants fixed."""


@registry.register("paper-smnist")
class PaperSMNIST(Preset):
    """Vogt et al. 2024, section 4.3; spectra at the epochs from which the early prediction is made, and the last. Half
    of the networks end well: the threshold is the median."""

    purpose = "The paper's row-wise sequential MNIST: 1,600 networks of eight cells, 64 units; for a GPU"

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
            ranges=RANGES,
            spectrum_epochs=(0, 1, 2, 3, 4, 5, 10),
        )
