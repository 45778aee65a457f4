"""What a classifier is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.foundation.registry import Registry


class Classifier(ABC):
    """Tells from networks at one epoch which of them will end below a threshold of the loss.

    `kind` is "spectrum" for what looks at spectra, "baseline" for what knows no dynamics, "combination" for what
    takes both. `aelle` is fitted to the training networks' final spectra, as all that is learned is learned from
    these; validation networks choose cuts. `uses_loss` says that the present loss is looked at, which after the
    last epoch is the outcome itself; `uses_present` that anything is looked at that training changes: what looks at
    nothing of the kind says the same at every epoch.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["spectrum", "baseline", "combination"]]
    description: ClassVar[str]
    uses_loss: ClassVar[bool] = False
    uses_present: ClassVar[bool] = True

    def __init__(self, aelle: AeLLE, seed: int) -> None:
        self.aelle = aelle
        self.seed = seed

    @abstractmethod
    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        """Learn from `train`, networks whose outcome is known, and choose a cut, where there is one, on `validation`.
        That is empty where no networks are set apart for cuts: these are then chosen on the training networks."""

    @abstractmethod
    def score(self, examples: NetworkExamples) -> np.ndarray:
        """(n,), higher for a better expected outcome."""

    @abstractmethod
    def predict(self, examples: NetworkExamples) -> np.ndarray:
        """(n,) bool: True where the network is expected to end below the threshold."""


classifiers: Registry[Classifier] = Registry("classifier", "aelle_core.evaluation.classifiers")
