"""Untrained networks of a study's ranges, to be screened, and the study of those that are kept."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aelle_core.cells import Network, get_cell
from aelle_core.study.model import Study
from aelle_core.study.variants import Variant, cohorts
from aelle_core.tasks import Task


def drawn_in_words(hyperparameters: Mapping[str, float]) -> str:
    """Return what was drawn for a network, for people."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in hyperparameters.items())


@dataclass(frozen=True)
class Candidate:
    """An untrained network of a study: what was drawn for it, and itself with its initial weights."""

    cell: str
    units: int
    variant: Variant
    network: Network

    @property
    def number(self) -> int:
        """Its number among the networks of its cell and size."""
        return int(self.variant.network.rsplit("-", 1)[1])


def drawn_candidates(study: Study, task: Task, count: int) -> tuple[Study, list[Candidate]]:
    """Return at least `count` candidates, as many of each cell and size, and the study that would train them all."""
    groups = len(study.cells) * len(study.units)
    whole = study.replace(networks=math.ceil(count / groups))
    return whole, list(_candidates(whole, task))


def _candidates(study: Study, task: Task) -> Iterator[Candidate]:
    for cohort in cohorts(study):
        cell = get_cell(cohort.cell, task.input_size, cohort.units)
        for pack in cohort.packs:
            for variant in pack.variants:
                settings = variant.settings
                # As the trainers draw them: the same stream, so that what is screened is what would be trained.
                weights = settings.initial_weights(cell)
                yield Candidate(cohort.cell, cohort.units, variant, Network(cell, weights, settings.constants))


def kept_study(study: Study, kept: Sequence[Candidate]) -> Study:
    """Return the study that trains the kept candidates alone, with the same weights and hyperparameters."""
    chosen: dict[str, list[int]] = {}
    for candidate in kept:
        chosen.setdefault(f"{candidate.cell} {candidate.units}", []).append(candidate.number)
    return study.replace(chosen={name: sorted(numbers) for name, numbers in chosen.items()})
