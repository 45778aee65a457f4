"""What the spectrum adds to what is known without it: one learner on every combination of features."""

from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier
from aelle_core.evaluation.classifiers.cell_and_hyperparameters import ForestClassifier
from aelle_core.evaluation.classifiers.forest_on_spectrum import spectrum_features
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.metrics import COMPARED, Measurement
from aelle_core.evaluation.tables.base import Entry, TableMaker, column_of, entries_of, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words

PARTS = ("hyperparameters", "loss", "spectrum")
COMBINATIONS = (
    ("hyperparameters",), ("loss",), ("spectrum",), ("hyperparameters", "loss"), ("hyperparameters", "spectrum"),
    ("loss", "spectrum"), ("hyperparameters", "loss", "spectrum"),
)  # fmt: skip
_RIVALS = (
    ("spectrum", "hyperparameters"), ("loss + spectrum", "loss"), ("hyperparameters + spectrum", "hyperparameters"),
    ("hyperparameters + loss + spectrum", "hyperparameters + loss"),
)  # fmt: skip


class Combination(ForestClassifier):
    """A random forest on some of: cell and hyperparameters; the present loss; the spectrum as AeLLE components, the
    loss that AeLLE predicts, and the largest and the mean exponent."""

    kind = "combination"
    uses_loss = True
    description = "Random forest on a combination of hyperparameters, present loss and spectrum"
    parts: Sequence[str] = PARTS

    def features(self, examples: NetworkExamples) -> np.ndarray:
        blocks = []
        if "hyperparameters" in self.parts:
            blocks.append(super().features(examples))
        if "loss" in self.parts:
            blocks.append(np.nan_to_num(examples.loss, nan=1e30, posinf=1e30).clip(max=1e30)[:, None])
        if "spectrum" in self.parts:
            blocks.append(spectrum_features(examples, self.aelle))
        return np.concatenate(blocks, axis=1)


def combination(parts: Sequence[str]) -> type[Classifier]:
    """Return the classifier that looks at these parts."""
    moving = set(parts) != {"hyperparameters"}
    return type("Combination", (Combination,), {"parts": tuple(parts), "uses_present": moving})


@table_makers.register("combinations")
class Combinations(TableMaker):
    """One learner with and without the spectrum."""

    title = "What the spectrum adds"
    caption = (
        "A random forest on every combination of cell and hyperparameters, present validation loss, and the "
        "spectrum (ten AeLLE components, AeLLE's predicted loss, largest and mean exponent); splits of {end}."
    )
    order = 5

    def absent(self, material: Material) -> str | None:
        return None if self._epochs(material) else "Not made: the study has spectra of its last epoch only."

    def _epochs(self, material: Material) -> list[int]:
        return [epoch for epoch in material.moments if epoch != material.last_epoch]

    def _measurements(self, material: Material) -> list[Measurement]:
        chosen = {" + ".join(parts): combination(parts) for parts in COMBINATIONS}
        return material.measure(material.drawn(material.protocol.end), self._epochs(material), chosen)

    def entries(self, material: Material) -> list[Entry]:
        self._measured = self._measurements(material)
        columns = {epoch: column_of(epoch) for epoch in self._epochs(material)}
        rows = [" + ".join(parts) for parts in COMBINATIONS]
        return entries_of(self.name, material.task, self._measured, rows, COMPARED, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        sentences = []
        for epoch in self._epochs(material):
            for row, over in _RIVALS:
                sentences.append(f"At epoch {epoch}, {difference_in_words(self._measured, row, over, epoch)}")
        return [*sentences, *super().remarks(material, entries)]
