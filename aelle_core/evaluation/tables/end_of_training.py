"""Sections 4.1 to 4.3: telling good from bad after training."""

from collections.abc import Sequence

from aelle_core.evaluation.tables.base import Entry, TableMaker, entries_of, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import gain, gain_sentence

_ROWS = (
    "LE mean", "LE max", "LE PC1", "AeLLE median", "AeLLE PC1", "AeLLE hyperplane", "AeLLE hyperellipse",
    "AeLLE predictor", "linear on raw", "linear on PCA", "linear on latent", "forest on spectrum",
    "cell alone", "cell and hyperparameters",
)  # fmt: skip
_SAME_LEARNER = ("forest on spectrum", "cell and hyperparameters")


@table_makers.register("end_of_training")
class EndOfTraining(TableMaker):
    """F1 of the paper's statistics, of AeLLE, and of two baselines that know no dynamics."""

    title = "End of training (sections 4.1 to 4.3)"
    caption = (
        "F1 from final spectra; splits of {end} by network, as in the paper, which has one. The paper's AeLLE cuts the "
        "first component at its median; cuts that are learned are learned on the {cutting} networks. The last row "
        "and the forest on the spectrum are the same learner on other features."
    )
    order = 0

    def entries(self, material: Material) -> list[Entry]:
        columns = {material.last_epoch: "end of training"}
        return entries_of(self.name, material.task, material.at_the_end, _ROWS, ("f1",), columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        found = gain(material.at_the_end, *_SAME_LEARNER, material.last_epoch)
        sentence = f"The same learner, on the same splits: {gain_sentence(found, *_SAME_LEARNER, 'F1')}"
        return [*super().remarks(material, entries), sentence]
