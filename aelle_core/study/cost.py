"""What a cohort costs on this machine, measured in small."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from aelle_core.cells import get_cell
from aelle_core.study.model import Study
from aelle_core.study.run import spectra_along
from aelle_core.study.variants import Cohort
from aelle_core.tasks import Task
from aelle_core.training import fastest, trainers
from aelle_core.training.memory import networks_at_once
from aelle_core.training.trainer import Timing

_STEPS = 24  # counted steps of the spectra that are timed: the first ones share no factorisation
_NUMBERS = 2**16  # entries in the Jacobians of the networks that are timed


@dataclass(frozen=True)
class CohortCost:
    """Times of a network's epoch by way, the way chosen, how many networks of a pack are trained at once and the
    bytes that they take, and, for all networks and epochs of the cohort, seconds of training and of spectra."""

    ways: Mapping[str, Timing]
    way: str
    at_once: int
    memory: int
    training: float
    spectra: float


def cohort_cost(study: Study, cohort: Cohort, task: Task, device: torch.device, *, anew: bool = False) -> CohortCost:
    """Measure a cohort, on torch's present number of threads; what training takes, only where that has not been
    measured on this kind of machine, or `anew`."""
    kind = trainers[task.trainer]
    cell = get_cell(cohort.cell, task.input_size, cohort.units)
    networks = len(cohort.packs[0].variants)
    ways = kind.epoch_timings(cell, task, study.batch_size, networks, device, anew=anew)
    way = fastest(ways)
    bytes_each = kind.network_bytes(cell, task, study.batch_size)
    at_once = min(ways[way].networks_at_once, networks_at_once(bytes_each, device))
    epochs = sum(map(study.has_spectra, range(study.epochs + 1)))
    return CohortCost(
        ways,
        way,
        at_once,
        at_once * bytes_each,
        ways[way].seconds * study.epochs * len(cohort.packs.numbers),
        _spectrum_seconds(study, cohort, task, device) * epochs * len(cohort.packs.numbers),
    )


def _spectrum_seconds(study: Study, cohort: Cohort, task: Task, device: torch.device) -> float:
    """Of one network after one epoch, from the first steps of its sequences."""
    count = math.ceil(_NUMBERS / cohort.units**2)
    settings = [variant.settings for variant in cohort.packs[0].variants[:count]]
    cell = get_cell(cohort.cell, task.input_size, cohort.units)
    trainer = trainers[task.trainer](cell, task, settings, batch_size=study.batch_size, device=device)
    inputs = task.spectrum_inputs(study.spectrum_sequences)[:, : study.warmup + _STEPS]
    spectra_along(study, trainer, inputs[:, : study.warmup + 1])  # compiles, and warms up
    begun = time.perf_counter()
    spectra_along(study, trainer, inputs)
    return (time.perf_counter() - begun) / len(settings) * task.steps / inputs.shape[1]
