"""Sections 4.1 to 4.3: telling good from bad after training."""

from aelle_core.evaluation.material import Material
from aelle_core.evaluation.tables.base import Entry, TableMaker, entries_of, table_makers

_ROWS = (
    "LE mean", "LE max", "LE PC1", "AeLLE median", "AeLLE PC1", "AeLLE hyperplane", "AeLLE hyperellipse",
    "AeLLE predictor", "cell alone", "cell and hyperparameters",
)  # fmt: skip


@table_makers.register("end_of_training")
class EndOfTraining(TableMaker):
    """F1 of the paper's statistics, of AeLLE, and of two baselines that know no dynamics."""

    title = "End of training (sections 4.1 to 4.3)"
    caption = (
        "F1 from final spectra; splits of {end} by network, as in the paper, which has one. The paper's AeLLE cuts the "
        "first component at its median; the other rows learn their cut, on the {cutting} networks."
    )
    order = 0

    def entries(self, material: Material) -> list[Entry]:
        columns = {material.last_epoch: "end of training"}
        return entries_of(self.name, material.task, material.at_the_end, _ROWS, ("f1",), columns)
