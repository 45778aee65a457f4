"""Screening: untrained candidates -> spectra -> candidates in the order of the loss to expect.

Nouns: a candidate is a network before training; a sweep is a finished study whose spectra and losses a predictor is
fitted to; a replay asks on a finished sweep what a method of choosing would have found for a share of its price.
"""

from aelle_core.screening.design import Designed, design
from aelle_core.screening.predictor import SpectrumPredictor
from aelle_core.screening.screen import Ranked, screen
from aelle_core.screening.sweeps import Sweep

__all__ = ["Designed", "Ranked", "SpectrumPredictor", "Sweep", "design", "screen"]
