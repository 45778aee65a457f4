"""A random forest on the spectrum: the learner that hyperparameters are given, too."""

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation.classifiers.base import classifiers
from aelle_core.evaluation.classifiers.cell_and_hyperparameters import ForestClassifier
from aelle_core.evaluation.classifiers.scalar import floored
from aelle_core.evaluation.examples import NetworkExamples


def spectrum_features(examples: NetworkExamples, aelle: AeLLE) -> np.ndarray:
    """(n, components + 3): AeLLE components, largest and mean exponent, and the loss that AeLLE predicts."""
    spectra = floored(examples)
    numbers = [spectra.max(axis=1), spectra.mean(axis=1), aelle.predict(examples.spectra)]
    return np.column_stack([aelle.transform(examples.spectra), *numbers])


@classifiers.register("forest on spectrum")
class ForestOnSpectrum(ForestClassifier):
    """A random forest on what AeLLE makes of the spectrum."""

    kind = "spectrum"
    description = "Random forest on AeLLE components, largest and mean exponent, and the loss that AeLLE predicts"

    def features(self, examples: NetworkExamples) -> np.ndarray:
        return spectrum_features(examples, self.aelle)
