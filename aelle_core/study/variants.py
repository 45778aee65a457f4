"""From a study to its networks, grouped in cohorts (one cell and size) and packs (trained side by side)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.ranges import Choice
from aelle_core.streams import stream_seed
from aelle_core.study.model import Study
from aelle_core.training import NetworkSettings

_NOT_CONSTANTS = ("scale", "learning_rate", "clip", "truncation", "initialiser")


@dataclass(frozen=True)
class Variant:
    """One network of a study: its name, its settings, and all that was drawn for it."""

    network: str
    settings: NetworkSettings
    hyperparameters: Mapping[str, float]


@dataclass(frozen=True)
class Pack:
    """Networks of one cell and size that are trained side by side."""

    name: str
    cell: str
    units: int
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Cohort:
    """All networks of one task, cell and size."""

    task: str
    cell: str
    units: int
    packs: tuple[Pack, ...]

    @property
    def name(self) -> str:
        """Task, cell and size, as shown to people."""
        return f"{self.task} {self.cell} {self.units}"


def _variant(study: Study, cell: str, units: int, index: int) -> Variant:
    # A stream for each quantity: adding a range, a cell or networks leaves all other draws as they were.
    place = f"{cell}/{units}"
    ranges = study.cell_ranges(cell)
    drawn: dict[str, Any] = {
        name: bounds.at(np.random.default_rng(stream_seed(study.seed, f"draw/{place}/{name}", index)).random())
        for name, bounds in sorted(ranges.items())
    }
    settings = NetworkSettings(
        seed=stream_seed(study.seed, f"network/{place}", index),
        scale=drawn["scale"],
        learning_rate=drawn["learning_rate"],
        clip=drawn.get("clip", 1.0),
        constants={name: value for name, value in drawn.items() if name not in _NOT_CONSTANTS},
        initialiser=drawn.get("initialiser", "uniform"),
        truncation=int(drawn["truncation"]) if "truncation" in drawn else None,
    )
    hyperparameters: dict[str, float] = {}
    for name, value in drawn.items():
        bounds = ranges[name]
        if isinstance(bounds, Choice):  # one number for each name: 1 for the one that was drawn, 0 for the others
            hyperparameters |= {f"{name} {each}": float(each == value) for each in bounds.names}
        else:
            hyperparameters[name] = value
    return Variant(f"{cell}-{units}-{index:05d}", settings, hyperparameters)


def cohorts(study: Study) -> list[Cohort]:
    """The study's cohorts in the order of its cells and sizes; the same study gives the same networks anywhere."""
    result = []
    for cell in study.cells:
        for units in study.units:
            variants = [_variant(study, cell, units, index) for index in range(study.networks)]
            packs = tuple(
                Pack(f"{cell}-{units}-pack{start // study.pack_size:04d}", cell, units, tuple(chunk))
                for start in range(0, study.networks, study.pack_size)
                for chunk in [variants[start : start + study.pack_size]]
            )
            result.append(Cohort(study.task, cell, units, packs))
    return result
