"""Table 3: raw, PCA and AeLLE features under the same classifiers."""

from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.metrics import COMPARED
from aelle_core.evaluation.summary import corrected_interval
from aelle_core.evaluation.tables.base import EarlyTable, Entry, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import gains_in_words

_OURS = "linear on latent"
_OTHERS = {
    "raw and PCA features": ("linear on raw", "linear on PCA"),
    "ridge with its penalty chosen": ("ridge on spectrum",),
}


@table_makers.register("features")
class Features(EarlyTable):
    """The first component and linear regression, by features and epoch."""

    title = "Table 3: raw, PCA and AeLLE features"
    caption = (
        "The first principal component (of the exponents: LE PC1; of the latent code: AeLLE PC1), and linear "
        "regression of the log loss on all exponents, on their principal components, and on the latent code; splits "
        "of {early}."
    )
    order = 3
    shown = ("LE PC1", "AeLLE PC1", "linear on raw", "linear on PCA", "ridge on spectrum", "linear on latent")

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        sentences = [
            f"Ours, averaged over these epochs: {gains_in_words(_gains(material, others), _OURS, name)}"
            for name, others in _OTHERS.items()
        ]
        return [*super().remarks(material, entries), *sentences]


def _gains(material: Material, others: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """By metric, mean and interval of what the latent code has more than the others' mean, over the early epochs."""
    measured = {
        (measurement.classifier, measurement.epoch, measurement.split): measurement for measurement in material.early
    }
    first = measured[_OURS, material.early_epochs[0], 0]
    gains = {}
    for metric in COMPARED:
        differences = np.array([
            np.mean([
                getattr(measured[_OURS, epoch, split], metric) - getattr(measured[other, epoch, split], metric)
                for epoch in material.early_epochs
                for other in others
            ])
            for split in range(material.splits)
        ])  # fmt: skip
        gains[metric] = corrected_interval(differences, first.test_networks / first.train_networks)
    return gains
