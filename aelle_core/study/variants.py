"""From a study to its networks, grouped in cohorts (one cell and size) and packs (trained side by side)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from aelle_core.foundation.random_streams import stream_seed
from aelle_core.foundation.ranges import Choice, Range
from aelle_core.study.model import Study
from aelle_core.tasks import tasks
from aelle_core.training import NetworkSettings, trainers

_NOT_CONSTANTS = ("scale", "learning_rate", "clip", "truncation", "initialiser", "input_gain", "forget_bias")


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
class Packs(Sequence[Pack]):
    """The packs of one cell and size, each drawn when it is asked for: a million networks take no more memory than one.

    The same study gives the same packs anywhere, so that a process which is to train one needs only its number.
    """

    study: Study
    cell: str
    units: int

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.study.pack_size)

    @overload
    def __getitem__(self, index: int) -> Pack: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Pack, ...]: ...

    def __getitem__(self, index: int | slice) -> Pack | tuple[Pack, ...]:
        numbers = range(len(self))[index]
        return tuple(map(self._draw, numbers)) if isinstance(numbers, range) else self._draw(numbers)

    def _draw(self, number: int) -> Pack:
        ranges = self.study.cell_ranges(self.cell)
        variants = (_variant(self.study, self.cell, self.units, ranges, index) for index in self._members(number))
        return Pack(self.name(number), self.cell, self.units, tuple(variants))

    @property
    def numbers(self) -> Sequence[int]:
        return self.study.numbers(self.cell, self.units)

    def _members(self, number: int) -> Sequence[int]:
        size = self.study.pack_size
        return self.numbers[number * size : (number + 1) * size]

    def name(self, number: int) -> str:
        """Return the name of a pack, without drawing its networks."""
        return f"{self.cell}-{self.units}-pack{number:04d}"

    def names(self) -> Iterator[str]:
        """Return the names of all packs in order, without drawing their networks."""
        return map(self.name, range(len(self)))

    def networks(self, number: int) -> list[str]:
        """Return the names of a pack's networks, without drawing them."""
        return [_network_name(self.cell, self.units, index) for index in self._members(number)]


@dataclass(frozen=True)
class Cohort:
    """All networks of one task, cell and size."""

    task: str
    cell: str
    units: int
    packs: Packs

    @property
    def name(self) -> str:
        """Task, cell and size, as shown to people."""
        return f"{self.task} {self.cell} {self.units}"


def _network_name(cell: str, units: int, index: int) -> str:
    return f"{cell}-{units}-{index:05d}"


def _variant(study: Study, cell: str, units: int, ranges: Mapping[str, Range | Choice], index: int) -> Variant:
    # A stream for each quantity: adding a range, a cell or networks leaves all other draws as they were.
    label = f"{cell}/{units}"
    drawn: dict[str, Any] = {
        name: bounds.at(np.random.default_rng(stream_seed(study.seed, f"draw/{label}/{name}", index)).random())
        for name, bounds in sorted(ranges.items())
    }
    reads = trainers[tasks[study.task].trainer].reads
    settings = NetworkSettings(
        seed=stream_seed(study.seed, f"network/{label}", index),
        scale=drawn["scale"],
        learning_rate=drawn["learning_rate"],
        clip=drawn.get("clip", 1.0),
        constants={name: value for name, value in drawn.items() if name not in (*_NOT_CONSTANTS, *reads)},
        options={name: value for name, value in drawn.items() if name in reads},
        initialiser=drawn.get("initialiser", "uniform"),
        truncation=int(drawn["truncation"]) if "truncation" in drawn else None,
        input_gain=drawn.get("input_gain", 1.0),
        forget_bias=drawn.get("forget_bias", 0.0),
    )
    hyperparameters: dict[str, float] = {}
    for name, value in drawn.items():
        bounds = ranges[name]
        if isinstance(bounds, Choice):  # one number for each name: 1 for the one that was drawn, 0 for the others
            hyperparameters |= {f"{name} {choice}": float(choice == value) for choice in bounds.names}
        else:
            hyperparameters[name] = value
    return Variant(_network_name(cell, units, index), settings, hyperparameters)


def cohorts(study: Study) -> list[Cohort]:
    """Return the study's cohorts in the order of its cells and sizes."""
    groups = [(cell, units) for cell in study.cells for units in study.units if study.numbers(cell, units)]
    return [Cohort(study.task, cell, units, Packs(study, cell, units)) for cell, units in groups]
