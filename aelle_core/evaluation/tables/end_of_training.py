"""Sections 4.1 to 4.3: telling good from bad after training."""

from collections.abc import Sequence

from aelle_core.evaluation.metrics import COMPARED
from aelle_core.evaluation.tables.base import Entry, TableMaker, entries_of, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words

_ROWS = (
    "LE mean, median", "LE max, median", "LE PC1, median", "AeLLE median", "LE mean", "LE max", "LE PC1", "AeLLE PC1",
    "AeLLE hyperplane", "AeLLE hyperellipse", "AeLLE predictor", "linear on raw", "linear on PCA", "linear on latent",
    "ridge on spectrum", "forest on spectrum", "cell alone", "mean of the cell", "cell and hyperparameters",
    "Gaussian process on hyperparameters",
)  # fmt: skip
_RIVALS = (
    ("AeLLE predictor", "ridge on spectrum"),
    ("forest on spectrum", "cell and hyperparameters"),
    ("AeLLE predictor", "Gaussian process on hyperparameters"),
)


@table_makers.register("end_of_training")
class EndOfTraining(TableMaker):
    """F1 of the paper's statistics, of AeLLE, and of two baselines that know no dynamics."""

    title = "End of training (sections 4.1 to 4.3)"
    caption = (
        "F1 from final spectra, and the rank correlation of score and final loss among all networks and within cells; "
        "splits of {end} by network, as in the paper, which has one. The paper cuts the statistics and the first AeLLE "
        "component at their medians, as the rows named after the median do; other cuts are learned on the {cutting} "
        "networks."
    )
    order = 0

    def entries(self, material: Material) -> list[Entry]:
        columns = {material.last_epoch: "end of training"}
        return entries_of(self.name, material.task, material.at_the_end, _ROWS, COMPARED, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        sentences = [difference_in_words(material.at_the_end, row, over, material.last_epoch) for row, over in _RIVALS]
        return [*sentences, *super().remarks(material, entries)]
