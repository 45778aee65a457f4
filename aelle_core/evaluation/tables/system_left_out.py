"""Good forecasters of a system never seen: what is learned on those of the other systems, tested on its own."""

import math
from collections.abc import Mapping, Sequence

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import origins
from aelle_core.evaluation.metrics import COMPARED, Measurement
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.summary import summarise
from aelle_core.evaluation.tables.base import Entry, TableMaker, table_makers
from aelle_core.evaluation.tables.combinations import combination
from aelle_core.evaluation.tables.free_runs import LOOP, NATS
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words

ROWS: Mapping[str, tuple[type[Classifier], str]] = {
    "loss": (combination(("loss",)), LOOP),
    "hyperparameters": (combination(("hyperparameters",)), LOOP),
    "hyperparameters and loss": (combination(("hyperparameters", "loss")), LOOP),
    "closed-loop spectrum": (combination(("spectrum",)), LOOP),
    "AeLLE median, closed-loop spectrum": (classifiers["AeLLE median"], LOOP),
    "AeLLE predictor, closed-loop spectrum": (classifiers["AeLLE predictor"], LOOP),
    "closed-loop spectrum in nats": (combination(("spectrum",)), NATS),
    "AeLLE predictor, closed-loop spectrum in nats": (classifiers["AeLLE predictor"], NATS),
}
"""Row -> what is fitted, and to which kind of spectra."""
_OURS = "AeLLE predictor, closed-loop spectrum"
_RIVALS = ("loss", "hyperparameters", "hyperparameters and loss", "AeLLE predictor, closed-loop spectrum in nats")


@table_makers.register("system_left_out")
class SystemLeftOut(TableMaker):
    """Every system left out once, and the mean over them."""

    title = "Good forecasters of a system never seen, one by one"
    caption = (
        "After the last epoch. Learned on the networks of all other systems (80 and 20 % for training and cuts), "
        "tested on those of the system named above. The last column is the mean over systems with its 95 % interval. "
        "Exponents are in units of the system's largest, where a row does not say nats; a good network is better than "
        "the median of its system."
    )
    order = 13

    def absent(self, material: Material) -> str | None:
        if NATS in material.kinds:
            return None
        return "Not made: the study has no closed-loop spectra of networks of several systems."

    def entries(self, material: Material) -> list[Entry]:
        everyone = material.everyone
        systems, splits = zip(*splits_by_group(everyone, origins(everyone), seed=material.seed), strict=True)
        self._measured: list[Measurement] = []
        for spectra in (LOOP, NATS):
            chosen = {row: kind for row, (kind, seen) in ROWS.items() if seen == spectra}
            self._measured += material.measure(list(splits), [material.last_epoch], chosen, spectra)
        means = {(summary.classifier, summary.metric): summary for summary in summarise(self._measured)}
        entries = []
        for row in ROWS:
            for metric in COMPARED:
                entries += [
                    Entry(row, metric, systems[measurement.split], getattr(measurement, metric), math.nan, math.nan)
                    for measurement in sorted(self._measured, key=lambda measurement: measurement.split)
                    if measurement.classifier == row
                ]
                mean = means[row, metric]
                entries.append(Entry(row, metric, "all", mean.mean, mean.low, mean.high))
        return entries

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        told = [difference_in_words(self._measured, _OURS, over, material.last_epoch) for over in _RIVALS]
        return [*told, *super().remarks(material, entries)]
