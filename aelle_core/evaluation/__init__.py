"""Classifiers and baselines that tell, from a network's present, on which side of a threshold it will end."""

from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples, all_networks, good_fraction_by_cell, median_threshold
from aelle_core.evaluation.metrics import Measurement, measurements_from_table, measurements_table
from aelle_core.evaluation.scoring import evaluate_split
from aelle_core.evaluation.splits.by_network import Split, splits_by_network
from aelle_core.evaluation.splits.protocol import Protocol, Shares, protocol_of
from aelle_core.evaluation.summary import Summary, epoch_of_outcome, finalists, standings, summarise
from aelle_core.evaluation.verdicts import verdicts

__all__ = [
    "Classifier",
    "Measurement",
    "NetworkExamples",
    "Protocol",
    "Shares",
    "Split",
    "Summary",
    "all_networks",
    "classifiers",
    "epoch_of_outcome",
    "evaluate_split",
    "finalists",
    "good_fraction_by_cell",
    "measurements_from_table",
    "measurements_table",
    "median_threshold",
    "protocol_of",
    "splits_by_network",
    "standings",
    "summarise",
    "verdicts",
]
