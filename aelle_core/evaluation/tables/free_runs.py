"""What tells which networks reproduce the system when they run freely: the loss, what was drawn, or spectra."""

import dataclasses
from collections.abc import Sequence

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import origins
from aelle_core.evaluation.metrics import COMPARED, Measurement
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.splits.by_network import Split
from aelle_core.evaluation.tables.base import Entry, TableMaker, column_of, entries_of, table_makers
from aelle_core.evaluation.tables.combinations import combination
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import difference_in_words, gain

LOOP = "closed_loop"
NATS = "closed_loop in nats"
"""The kind of spectra that are not measured by their system's largest exponent; there where several systems are."""
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
_OURS = "closed-loop spectrum"
_AELLE = ("AeLLE median", "AeLLE predictor")


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
        driven = next((kind for kind in material.kinds if kind not in (LOOP, NATS)), None)
        self._measured: list[Measurement] = []
        rows = []
        for loop in (False, True):
            chosen: dict[str, type[Classifier]] = {
                row: combination(parts)
                for row, (parts, of_loop) in _KNOWN.items()
                if of_loop == loop and (driven or row != "driven spectrum")
            }
            kind = LOOP if loop or driven is None else driven
            measurements = material.measure(splits, material.epochs, chosen, kind)
            rows += list(chosen)
            if loop:
                aelle = {name: classifiers[name] for name in _AELLE}
                named = material.measure(splits, material.epochs, aelle, kind)
                measurements += [
                    dataclasses.replace(measurement, classifier=f"{measurement.classifier}, closed-loop spectrum")
                    for measurement in named
                ]
                rows += [f"{name}, closed-loop spectrum" for name in _AELLE]
            self._measured += measurements
        columns = {epoch: column_of(epoch) for epoch in material.epochs}
        return entries_of(self.name, material.task, self._measured, rows, COMPARED, columns)

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        rivals = ("loss", "hyperparameters", "hyperparameters and loss", "driven spectrum")
        told = [sentence for over in rivals if self._has(over) for sentence in self._contest(over, material.epochs)]
        return [*told, *super().remarks(material, entries)]

    def _contest(self, over: str, epochs: Sequence[int]) -> list[str]:
        """Sentences: how the closed loop's spectrum does against another row at the end, and from when on."""
        ahead = [gain(self._measured, _OURS, over, epoch)[1] > 0 for epoch in epochs]
        sentences = [f"At the end of training, {difference_in_words(self._measured, _OURS, over, epochs[-1])}"]
        if all(ahead):
            sentences.append(f"At every epoch {_OURS!r} has a higher F1 than {over!r}.")
        elif all(ahead[-2:]):
            since = epochs[max(place for place, is_ahead in enumerate(ahead) if not is_ahead) + 1]
            sentences.append(f"From epoch {since} on {_OURS!r} has a higher F1 than {over!r} at every epoch.")
        return sentences

    def _has(self, row: str) -> bool:
        return any(measurement.classifier == row for measurement in self._measured)


@table_makers.register("free_runs")
class FreeRunsAcrossSplits(FreeRunTable):
    """Within the study."""

    title = "Which networks keep behaving on their own output"
    caption = (
        "A random forest on what is known of a network at an epoch, and AeLLE on closed-loop spectra; splits of {end} "
        "by network. Good is what the study's goal says, at the end."
    )
    order = 11


@table_makers.register("free_runs_left_out")
class FreeRunsLeftOut(FreeRunTable):
    """Learned on the networks of some studies, tested on those of another one, whose data differ."""

    title = "The same on data never seen"
    caption = (
        "Learned on the networks of all other seeds, or, where there are several systems, of all other systems (80 and "
        "20 % for training and cuts); tested on those of the one left out, whose data are others, too; the mean over "
        "those left out, with the interval over them."
    )
    order = 12

    def absent(self, material: Material) -> str | None:
        if len(set(origins(material.everyone))) < 2:
            return (
                "Not made: leaving one out needs studies of at least two seeds, or of two systems; join them with "
                "--together."
            )
        return super().absent(material)

    def splits(self, material: Material) -> list[Split]:
        everyone = material.everyone
        return [split for _, split in splits_by_group(everyone, origins(everyone), seed=material.seed)]
