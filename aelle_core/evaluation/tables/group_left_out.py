"""A cell or a size that was never trained before: what is learned on the others, tested on it."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.tables.base import Entry, TableMaker, column_of, entries_of, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words

_ROWS = (
    "LE mean", "LE max", "LE PC1", "AeLLE PC1", "AeLLE predictor", "linear on raw", "forest on spectrum",
    "current loss", "cell and hyperparameters", "Gaussian process on hyperparameters", "Gaussian process with loss",
)  # fmt: skip
_CAPTION = (
    "Trained on all other {0}s (80 and 20 % for training and cuts) and tested on the one left out, mean over the {0}s "
    "left out, with the interval over these. Balanced accuracy is 0.5 for whoever says the same of all; a rank "
    "correlation of score and final loss needs no cut."
)
_NAN = float("nan")


class LeftOut(TableMaker):
    """Means over the groups left out."""

    label: ClassVar[str]
    group: ClassVar[str]
    metrics: ClassVar[Sequence[str]] = ("f1", "balanced_accuracy", "rank_correlation")

    def absent(self, material: Material) -> str | None:
        if len(set(getattr(material.final, self.label).tolist())) < 3:
            return f"Not made: leaving one {self.group} out needs at least three in the study."
        return None

    def entries(self, material: Material) -> list[Entry]:
        _, measurements = material.left_out(self.label)
        columns = {epoch: column_of(epoch) for epoch in material.moments}
        return entries_of(self.name, material.task, measurements, _ROWS, self.metrics, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        _, measurements = material.left_out(self.label)
        sentences = []
        known = {measurement.split: not math.isnan(measurement.balanced_accuracy) for measurement in measurements}
        for epoch in material.moments[:-1]:
            row = _best(measurements, "spectrum", epoch)
            over = _best(measurements, "baseline", epoch)
            metrics = ("balanced_accuracy", "rank_correlation")
            told = difference_in_words(measurements, row, over, epoch, metrics)
            sentences.append(f"At epoch {epoch}, the best of each kind: {told}")
        if not all(known.values()):
            sentences.append(
                f"Balanced accuracy is over {sum(known.values())} of {len(known)} {self.group}s: those with "
                "networks on both sides."
            )
        return [*sentences, *super().remarks(material, entries)]


def _best(measurements: Sequence[Measurement], kind: str, epoch: int) -> str:
    """Return the classifier of that kind, among the table's, with the highest mean balanced accuracy over the groups
    that have one."""
    by_group: dict[str, list[float]] = {}
    for measurement in measurements:
        if (measurement.kind, measurement.epoch) == (kind, epoch) and measurement.classifier in _ROWS:
            by_group.setdefault(measurement.classifier, []).append(measurement.balanced_accuracy)
    return max(by_group, key=lambda name: np.nanmean(by_group[name]))


class LeftOutEach(LeftOut):
    """Every group by itself, at the first epoch with spectra."""

    def entries(self, material: Material) -> list[Entry]:
        groups, measurements = material.left_out(self.label)
        first = min(material.examples)
        measured = {
            (measurement.classifier, measurement.split): measurement
            for measurement in measurements
            if measurement.epoch == first
        }
        return [
            Entry(group, metric, row, getattr(measured[row, number], metric), _NAN, _NAN)
            for number, group in enumerate(groups)
            for metric in ("f1", "rank_correlation")
            for row in _ROWS
        ]

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        return []


@table_makers.register("cell_left_out")
class CellLeftOut(LeftOut):
    """Leave one cell out."""

    title = "A cell never seen"
    caption = _CAPTION.format("cell")
    order = 6
    label, group = "cells", "cell"


@table_makers.register("cell_left_out_each")
class CellLeftOutEach(LeftOutEach):
    """Leave one cell out, cell by cell."""

    title = "A cell never seen, one by one"
    caption = "The same for every cell left out, at the first epoch with spectra; one number each, without an interval."
    order = 7
    label, group = "cells", "cell"


@table_makers.register("size_left_out")
class SizeLeftOut(LeftOut):
    """Leave one size out."""

    title = "A size never seen"
    caption = _CAPTION.format("size")
    order = 8
    label, group = "units", "size"
    metrics = ("f1", "balanced_accuracy", "overall_rank_correlation", "rank_correlation")


@table_makers.register("size_left_out_each")
class SizeLeftOutEach(LeftOutEach):
    """Leave one size out, size by size."""

    title = "A size never seen, one by one"
    caption = "The same for every size left out, at the first epoch with spectra; one number each, without an interval."
    order = 9
    label, group = "units", "size"
