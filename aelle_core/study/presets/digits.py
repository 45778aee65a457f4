"""Studies that can be run by name."""

from aelle_core.errors import unknown_name
from aelle_core.study.model import Study

ALL_CELLS = ("rnn", "rnn_relu", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem", "ornn")


def presets() -> dict[str, tuple[str, Study]]:
    """Preset name -> what it is for, and the study."""
    return {
        "digits": (
            "Ten cells on scikit-learn's handwritten digits: minutes on two cores, no download",
            Study(
                name="digits",
                task="digits",
                task_options={"pixels": 4, "delay": 6},
                cells=ALL_CELLS,
                networks=32,
                epochs=12,
            ),
        ),
    }


def get_preset(name: str) -> Study:
    """The study of a preset. Raises UserError, naming the known ones, when there is none of that name."""
    known = presets()
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name][1]
