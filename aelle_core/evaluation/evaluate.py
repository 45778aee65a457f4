"""Scoring every classifier on one split, at every epoch."""

from collections.abc import Mapping
from typing import Any

from aelle_core.aelle import AeLLE
from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.examples import Examples
from aelle_core.evaluation.measurements import Measurement, measured
from aelle_core.evaluation.splits import Split


def evaluate_split(
    examples: Mapping[int, Examples],
    split: Split,
    *,
    threshold: float,
    aelle_parameters: Mapping[str, Any],
    seed: int,
) -> list[Measurement]:
    """Every classifier at every epoch, predicting which networks end below `threshold`.

    One AeLLE is fitted, to the training networks' final spectra (the paper's pre-trained AeLLE), and used at every
    epoch; thresholds and regressions are fitted anew at each epoch, on the training and validation networks alone.
    """
    final = examples[max(examples)].of(split.train)
    aelle = AeLLE(**{"random_state": seed + split.number, **aelle_parameters}).fit(final.spectra, final.final_loss)
    measurements = []
    for epoch, present in sorted(examples.items()):
        train, validation, test = (present.of(part) for part in (split.train, split.validation, split.test))
        good = test.final_loss < threshold
        for name, kind in classifiers.items():
            classifier = kind(aelle, seed)
            classifier.fit(train, validation, threshold)
            metrics = measured(good, classifier.predict(test), classifier.score(test), test.final_loss, test.cells)
            measurements.append(
                Measurement(
                    name, kind.kind, epoch, split.number, **metrics, train_networks=len(train), test_networks=len(test)
                )
            )
    return measurements
