"""Networks of several seeds, judged beside their own: a seed draws its data too, and some data are harder."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from aelle_core.evaluation import NetworkExamples, all_networks, median_threshold
from aelle_core.evaluation.examples import origins


def on_one_level(examples: Mapping[int, NetworkExamples]) -> dict[int, NetworkExamples]:
    """Return the networks of several studies, epoch by epoch, with outcomes scaled so that every study has the median
    of all: a network is then good where it is better than the median of its own study.

    Where the outcome is the loss, present losses are scaled alike. The study stands before a network's name.
    """
    everyone = all_networks(examples)
    studies = origins(everyone)
    overall = median_threshold(everyone.final_loss)
    factors = {
        study: overall / median_threshold(everyone.final_loss[studies == study])
        for study in np.unique(studies).tolist()
    }
    leveled = {}
    for epoch, present in examples.items():
        factor = np.array([factors[study] for study in origins(present).tolist()])
        loss = present.loss * factor if present.goal == "loss" else present.loss
        leveled[epoch] = dataclasses.replace(present, loss=loss, final_loss=present.final_loss * factor)
    return leveled
