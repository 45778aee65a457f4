"""Spectra of the whole state against those of the hidden state."""

import dataclasses
from collections.abc import Sequence

from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.metrics import COMPARED, Measurement
from aelle_core.evaluation.tables.base import Entry, TableMaker, column_of, entries_of, table_makers
from aelle_core.evaluation.tables.free_runs import NATS
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words

_ROWS = ("LE mean", "LE max", "LE PC1", "AeLLE PC1", "AeLLE predictor", "linear on raw")
KINDS = ("full", "hidden")


@table_makers.register("kinds")
class Kinds(TableMaker):
    """F1 and rank correlations by kind of spectrum."""

    title = "Full-state against hidden-state spectra"
    caption = (
        "Classifiers on the spectrum of the whole state (of an LSTM: h and c) and on the paper's, of h alone; the "
        "same splits of {end}."
    )
    order = 10

    def absent(self, material: Material) -> str | None:
        if not set(KINDS) <= set(material.kinds):
            stored = " and ".join(kind.replace("_", "-") for kind in material.kinds if kind != NATS)
            return f"Not made: the study stored {stored} spectra only; --spectra hidden,full stores both."
        return None

    def entries(self, material: Material) -> list[Entry]:
        splits, chosen = material.drawn(material.protocol.end), {name: classifiers[name] for name in _ROWS}
        self._measured: list[Measurement] = [
            dataclasses.replace(measurement, classifier=f"{measurement.classifier}, {kind}")
            for kind in KINDS
            for measurement in material.measure(splits, material.moments, chosen, kind)
        ]
        rows = [f"{name}, {kind}" for name in _ROWS for kind in KINDS]
        columns = {epoch: column_of(epoch) for epoch in material.moments}
        return entries_of(self.name, material.task, self._measured, rows, COMPARED, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        first = min(material.examples)
        return [
            f"At epoch {first}, {difference_in_words(self._measured, full, hidden, first)}"
            for name in ("AeLLE predictor", "linear on raw")
            for full, hidden in [(f"{name}, full", f"{name}, hidden")]
        ]
