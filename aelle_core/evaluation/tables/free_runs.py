"""What tells which networks reproduce the system when they run freely: the loss, what was drawn, or spectra."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.splits.by_network import Split
from aelle_core.evaluation.tables.base import Entry, TableMaker, column_of, entries_of, table_makers
from aelle_core.evaluation.tables.combinations import combination
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import gain, gain_sentence

LOOP = "closed_loop"
_KNOWN: dict[str, tuple[tuple[str, ...], bool]] = {
    "loss": (("loss",), False),
    "hyperparameters": (("hyperparameters",), False),
    "hyperparameters and loss": (("hyperparameters", "loss"), False),
    "driven spectrum": (("spectrum",), False),
    "closed-loop spectrum": (("spectrum",), True),
    "closed-loop spectrum and loss": (("loss", "spectrum"), True),
    "all of these": (("hyperparameters", "loss", "spectrum"), True),
}
"""Row -> what a random forest is given, and whether the spectrum is the closed loop's."""
_AELLE = ("AeLLE median", "AeLLE predictor")
_METRICS = ("f1", "rank_correlation")


class FreeRunTable(TableMaker):
    """One learner on everything that may be known, and AeLLE on closed-loop spectra."""

    def absent(self, material: Material) -> str | None:
        if LOOP not in material.kinds:
            return "Not made: the study has no closed-loop spectra; a forecast study takes them."
        return None

    def splits(self, material: Material) -> list[Split]:
        """Return the splits of the networks that the table is about."""
        return material.drawn(material.protocol.end)

    def entries(self, material: Material) -> list[Entry]:
        splits = self.splits(material)
        driven = next((kind for kind in material.kinds if kind != LOOP), None)
        self._measured: list[Measurement] = []
        rows = []
        for loop in (False, True):
            chosen: dict[str, type[Classifier]] = {
                row: combination(parts)
                for row, (parts, of_loop) in _KNOWN.items()
                if of_loop == loop and (driven or row != "driven spectrum")
            }
            kind = LOOP if loop or driven is None else driven
            measurements = material.measure(splits, material.moments, chosen, kind)
            rows += list(chosen)
            if loop:
                aelle = {name: classifiers[name] for name in _AELLE}
                named = material.measure(splits, material.moments, aelle, kind)
                measurements += [
                    dataclasses.replace(measurement, classifier=f"{measurement.classifier}, closed-loop spectrum")
                    for measurement in named
                ]
                rows += [f"{name}, closed-loop spectrum" for name in _AELLE]
            self._measured += measurements
        columns = {epoch: column_of(epoch) for epoch in material.moments}
        return entries_of(self.name, material.task, self._measured, rows, _METRICS, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        last, row = material.last_epoch, "closed-loop spectrum"
        others = [name for name in ("loss", "hyperparameters and loss", "driven spectrum") if self._has(name)]
        compared = [
            f"At the end of training, {gain_sentence(gain(self._measured, row, over, last), row, over, 'F1')}"
            for over in others
        ]
        return [*super().remarks(material, entries), *compared]

    def _has(self, row: str) -> bool:
        return any(measurement.classifier == row for measurement in self._measured)


@table_makers.register("free_runs")
class FreeRunsAcrossSplits(FreeRunTable):
    """Within the study."""

    title = "Which networks keep behaving on their own output"
    caption = (
        "F1 and rank correlation (within cells) of a random forest on what is known of a network at an epoch, and of "
        "AeLLE on closed-loop spectra; splits of {end} by network. Good is what the study's goal says, at the end."
    )
    order = 11


def seed_of(network: str) -> str:
    """Return the study that a network of joint studies is from; nothing for a network of a single study."""
    return network.rpartition("/")[0]


@table_makers.register("free_runs_across_seeds")
class FreeRunsAcrossSeeds(FreeRunTable):
    """Learned on the studies of some seeds, tested on the study of another seed, whose data differ."""

    title = "The same on networks and data of another seed"
    caption = (
        "Learned on all other seeds' networks (80 and 20 % for training and cuts), tested on those of the seed left "
        "out, whose data are others, too; the mean over the seeds left out, with the interval over these."
    )
    order = 12

    def absent(self, material: Material) -> str | None:
        if len(set(map(seed_of, map(str, material.everyone.networks)))) < 2:
            return "Not made: leaving a seed out needs studies of at least two seeds; join them with --together."
        return super().absent(material)

    def splits(self, material: Material) -> list[Split]:
        labels = np.array([seed_of(str(network)) for network in material.everyone.networks])
        return [split for _, split in splits_by_group(material.everyone, labels, seed=material.seed)]
