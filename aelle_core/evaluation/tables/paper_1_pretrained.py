"""Table 1: the pre-trained AeLLE and the loss as predictors in the first half of training."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.scalar import best_f1_cut
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.metrics import COMPARED, Measurement, measured
from aelle_core.evaluation.splits.by_network import Split
from aelle_core.evaluation.tables.base import EarlyTable, Entry, all_good, table_makers
from aelle_core.evaluation.tables.material import Material

ROW = "AeLLE pre-trained"
PRINTED_THRESHOLDS = {"smnist": 0.22}
"""The loss that the paper prints, in nats: with its networks half of them end below it, with others fewer or more."""


@table_makers.register("pretrained")
class Pretrained(EarlyTable):
    """Precision, recall, F1 and rank correlations by epoch, for the study's threshold and for the printed one."""

    title = "Table 1: the pre-trained AeLLE and the loss"
    caption = (
        "As in section 4.4, one AeLLE is fitted to the spectra of the training networks at all epochs, and its first "
        "component has one cut, from the validation networks at all epochs; splits of {early} by network. A network is "
        "good when it ends below the study's threshold; in rows whose name ends in a number, when it ends below that "
        "loss. AeLLE median and predictor are fitted to final spectra alone. The loss counts where it is below the "
        "threshold already (the paper's predictor), or below a cut chosen at each epoch on validation networks "
        "(current loss)."
    )
    order = 1
    shown = (ROW, "AeLLE median", "AeLLE predictor", "loss below threshold", "current loss")
    metrics = ("precision", "recall", *COMPARED)
    rivals = tuple((ROW, over) for over in ("current loss", "Gaussian process on hyperparameters"))

    def rows(self, material: Material) -> tuple[str, ...]:
        return tuple(f"{row}{label}" for label in _labels(material) for row in super(Pretrained, self).rows(material))

    def measured(self, material: Material) -> list[Measurement]:
        splits = material.drawn(material.protocol.early)
        labels, epochs = _labels(material), material.early_epochs
        parameters = {"random_state": material.seed, **material.aelle_parameters}
        by_split = Parallel(n_jobs=material.jobs)(
            delayed(pretrained)(material.examples, epochs, split, labels, parameters) for split in splits
        )
        measurements = [measurement for measurements in by_split for measurement in measurements] + material.early
        chosen = {row: classifiers[row] for row in super().rows(material) if row != ROW}
        for label, threshold in labels.items():
            if threshold != material.threshold:
                measurements += [
                    dataclasses.replace(measurement, classifier=f"{measurement.classifier}{label}")
                    for measurement in material.measure(splits, epochs, chosen, threshold=threshold)
                ]
        return measurements

    def remarks(self, material: Material, entries: Sequence[Entry]) -> list[str]:
        printed = [
            f"{all_good(material, threshold)} in rows with {threshold:g}."
            for threshold in _labels(material).values()
            if threshold != material.threshold
        ]
        return [*super().remarks(material, entries), *printed]


def _labels(material: Material) -> dict[str, float]:
    """Return every loss below which a network may be called good, by what is put behind the names of its rows."""
    labels = {"": material.threshold}
    printed = PRINTED_THRESHOLDS.get(material.task)
    if printed is not None and printed != material.threshold:
        share = float((material.everyone.final_loss < printed).mean())
        if 0.05 < share < 0.95:
            labels[f", {printed:g}"] = printed
    return labels


def pretrained(
    examples: Mapping[int, NetworkExamples],
    epochs: list[int],
    split: Split,
    labels: Mapping[str, float],
    parameters: dict,
) -> list[Measurement]:
    """Fit one AeLLE to all epochs of the training networks, and judge the test networks at some epochs, with one cut
    for each label."""
    training = [present.of(split.train) for _, present in sorted(examples.items())]
    losses = np.concatenate([epoch.final_loss for epoch in training])
    aelle = AeLLE(**parameters).fit(np.concatenate([epoch.spectra for epoch in training]), losses)
    validation = [present.of(split.validation or split.train) for _, present in sorted(examples.items())]
    scores = np.concatenate([-aelle.transform(epoch.spectra)[:, 0] for epoch in validation])
    outcomes = np.concatenate([epoch.final_loss for epoch in validation])
    measurements = []
    for label, threshold in labels.items():
        cut = best_f1_cut(scores, outcomes < threshold)
        for epoch in epochs:
            test = examples[epoch].of(split.test)
            score = -aelle.transform(test.spectra)[:, 0]
            metrics = measured(test.final_loss < threshold, score >= cut, score, test.final_loss, test.cells)
            sizes = (len(training[0]), len(test))
            measurements.append(
                Measurement(
                    f"{ROW}{label}",
                    "spectrum",
                    epoch,
                    split.number,
                    **metrics,
                    train_networks=sizes[0],
                    test_networks=sizes[1],
                )
            )
    return measurements
