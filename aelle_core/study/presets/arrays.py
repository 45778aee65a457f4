"""One's own data."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry


@registry.register("arrays")
class Arrays(Preset):
    """Four cells on the user's own sequences: classes, numbers or the next step, as the data are."""

    purpose = "Your own sequences (--data FILE: .csv, .parquet, .npz, .npy): 64 networks, minutes on two cores"

    @staticmethod
    def study() -> Study:
        return Study(
            name="arrays",
            task="arrays",
            cells=("rnn", "gru", "lstm", "lem"),
            networks=16,
            epochs=15,
            batch_size=32,
        )
