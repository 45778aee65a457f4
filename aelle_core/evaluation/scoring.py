"""Scoring classifiers on one split, at every epoch."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.metrics import Measurement, measured
from aelle_core.evaluation.splits.by_network import Split

COMPONENTS = 10
"""Components of the AeLLE: what the largest of table 4's classifiers cuts. The first two are the plane."""


def evaluate_split(
    examples: Mapping[int, NetworkExamples],
    split: Split,
    *,
    threshold: float,
    aelle_parameters: Mapping[str, Any],
    seed: int,
) -> list[Measurement]:
    """Measure every registered classifier at every epoch, predicting which networks end below `threshold`.

    One AeLLE is fitted, to the training networks' final spectra (the paper's pre-trained AeLLE), and used at every
    epoch.
    """
    aelle = fit_to_training(examples, split, aelle_parameters, seed)
    return evaluate_classifiers(aelle, examples, split, classifiers, threshold=threshold, seed=seed)


def fit_to_training(
    examples: Mapping[int, NetworkExamples], split: Split, aelle_parameters: Mapping[str, Any], seed: int
) -> AeLLE:
    """Return an AeLLE fitted to the final spectra of the split's training networks."""
    final = examples[max(examples)].of(split.train)
    parameters = {"random_state": seed + split.number, "components": COMPONENTS, **aelle_parameters}
    return AeLLE(**parameters).fit(final.spectra, final.final_loss)


def evaluate_classifiers(
    aelle: AeLLE,
    examples: Mapping[int, NetworkExamples],
    split: Split,
    chosen: Mapping[str, type[Classifier]],
    *,
    threshold: float,
    seed: int,
) -> list[Measurement]:
    """Return the chosen classifiers at every epoch of `examples`; thresholds and regressions are fitted at each
    epoch, on the training and validation networks alone."""
    measurements = []
    known: dict[tuple[str, bytes], Measurement] = {}
    for epoch, present in sorted(examples.items()):
        train, validation, test = (present.of(part) for part in (split.train, split.validation, split.test))
        good = test.final_loss < threshold
        for name, kind in chosen.items():
            key = (name, present.networks.tobytes())
            if key not in known or kind.uses_present:
                classifier = kind(aelle, seed)
                classifier.fit(train, validation, threshold)
                metrics = measured(good, classifier.predict(test), classifier.score(test), test.final_loss, test.cells)
                known[key] = Measurement(
                    name, kind.kind, epoch, split.number, **metrics, train_networks=len(train), test_networks=len(test)
                )
            measurements.append(dataclasses.replace(known[key], epoch=epoch))
    return measurements
