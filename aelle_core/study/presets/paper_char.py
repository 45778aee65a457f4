"""Character language model at the paper's size."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry

RANGES = {"lstm": {"scale": [0.04, 0.4, "linear"], "learning_rate": 2e-3, "initialiser": "uniform_zero_bias"}}


@registry.register("paper-char")
class PaperChar(Preset):
    """Vogt et al. 2024, section 4.2; spectra at 0, 10, 20, 50 and 100 % of training. The user brings War and Peace.

    Half-width and seed vary, nothing else: the authors' script (CharRNN_trials.py of LyapunovAutoEncode) draws p from
    U(0.04, 0.4) for each of 64, 128, 256 and 512 units, with one learning rate and no biases, which start at zero here.
    """

    purpose = "The paper's character language model: 1,200 LSTMs of 64 to 512 units on --data FILE; for a GPU"

    @staticmethod
    def study() -> Study:
        return Study(
            name="paper-char",
            task="charlm",
            task_options={"text": "war-and-peace"},
            cells=("lstm",),
            units=(64, 128, 256, 512),
            networks=300,
            epochs=10,
            batch_size=32,
            ranges=RANGES,
            spectrum_epochs=(0, 1, 2, 5, 10),
            threshold=1.75,
        )
