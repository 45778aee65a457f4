"""A sweep in which cell and initial scale alone do not decide."""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.digits import Digits


@registry.register("mixed")
class Mixed(Preset):
    """The digits study with all that a user would search over: learning rate over a factor of 40, the family of initial
    weights, the largest norm of the gradient over a factor of 100, and over how many of the 22 steps gradients flow
    back; spectra of both kinds."""

    purpose = "The digits study with learning rate, initialiser, clip and truncation varied too: 320 networks"

    @staticmethod
    def study() -> Study:
        return Digits.study().replace(
            name="mixed",
            ranges={
                "*": {
                    "learning_rate": [5e-4, 2e-2],
                    "clip": [0.05, 5],
                    "truncation": [4, 22, "linear"],
                    "initialiser": ["uniform", "normal", "orthogonal"],
                }
            },
            spectra=("hidden", "full"),
            spectrum_epochs=(0, 1, 2, 3, 4, 6, 12),
        )
