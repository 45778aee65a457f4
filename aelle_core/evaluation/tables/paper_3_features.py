"""Table 3: raw, PCA and AeLLE features under the same classifiers."""

from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.summary import corrected_interval
from aelle_core.evaluation.tables.base import EarlyTable, Entry, table_makers
from aelle_core.evaluation.tables.material import Material

_OURS = "linear on latent"
_OTHERS = {
    "raw and PCA features": ("linear on raw", "linear on PCA"),
    "ridge with its penalty chosen": ("ridge on spectrum",),
}


@table_makers.register("features")
class Features(EarlyTable):
    """F1 of the first component and of linear regression, by features and epoch."""

    title = "Table 3: raw, PCA and AeLLE features"
    caption = (
        "F1 of the first principal component (of the exponents: LE PC1; of the latent code: AeLLE PC1), and of linear "
        "regression of the log loss on all exponents, on their principal components, and on the latent code; splits "
        "of {early}."
    )
    order = 3
    shown = ("LE PC1", "AeLLE PC1", "linear on raw", "linear on PCA", "ridge on spectrum", "linear on latent")

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        f1 = {
            (measurement.classifier, measurement.epoch, measurement.split): measurement
            for measurement in material.early
        }
        first = f1[_OURS, material.early_epochs[0], 0]
        sentences = []
        for name, others in _OTHERS.items():
            gains = np.array([
                np.mean([
                    f1[_OURS, epoch, split].f1 - f1[other, epoch, split].f1
                    for epoch in material.early_epochs
                    for other in others
                ])
                for split in range(material.splits)
            ])  # fmt: skip
            mean, low, high = corrected_interval(gains, first.test_networks / first.train_networks)
            interval = "" if np.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
            sentences.append(
                f"Ours: under linear regression the latent code gains {mean:+.3f} F1{interval} over {name}, averaged "
                "over these epochs."
            )
        return [*super().remarks(material, entries), *sentences]
