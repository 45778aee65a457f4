"""Times of all ways to train a cell, taken in turns: milliseconds per network and mini-batch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.shared.timing import Spread, Way, on_threads, ratio, take_turns
from benchmarks.training import one_by_one, packs
from benchmarks.training.shapes import RandomSequences, Shape

ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS = "vmap, loops", "vmap, layers"
ENSEMBLE_SIZE = 16
_LAYERS_AT_ONCE = 4  # vmap runs them one after the other anyway
_ROUND = 16  # networks times mini-batches of one run, at least: an epoch has hundreds
_ROUND_OF_DEAR = 4  # the same where each is as dear as several of the usual shape


@dataclass(frozen=True)
class Pack:
    """Networks side by side and the way they are trained."""

    way: str
    networks: int

    def __str__(self) -> str:
        return f"{self.way}, {self.networks}"


@dataclass(frozen=True)
class Times:
    """Milliseconds per network and mini-batch of every way, turn by turn, and what torch warned of."""

    shape: Shape
    threads: int
    alone: dict[str, list[float]]
    ensembles: dict[str, list[float]]
    packs: dict[Pack, list[float]]
    said: frozenset[str] = frozenset()

    @property
    def best_alone(self) -> list[float]:
        """The faster way of training one network at a time."""
        return min(self.alone.values(), key=_median)

    @property
    def best_pack(self) -> Pack:
        """Our fastest way and size."""
        return min(self.packs, key=lambda pack: _median(self.packs[pack]))

    def best_of(self, networks: int) -> Pack:
        """Our fastest way for so many networks side by side."""
        return min(
            (pack for pack in self.packs if pack.networks == networks), key=lambda pack: _median(self.packs[pack])
        )

    def gain(self, pack: Pack | None = None) -> Spread:
        """How many times faster a pack is per network than the best one-by-one way, turn by turn."""
        return ratio(self.best_alone, self.packs[pack or self.best_pack])


def measure(
    shape: Shape,
    threads: int,
    wanted: Iterable[Pack],
    *,
    ensembles: bool,
    budget: float,
    least: int,
    patience: float = math.inf,
) -> Times:
    """All of them on the same threads. Modules, packs and data are made before the clock starts."""
    said: set[str] = set()
    chosen = list(wanted)
    with on_threads(threads):
        ways = [way_alone(shape, way) for way in one_by_one.ALONE]
        if ensembles:
            ways.append(_ensemble(shape, True, said))
            if one_by_one.is_layer(shape.cell):
                ways.append(_ensemble(shape, False, said))
        ways += [way_of_ours(shape, pack) for pack in chosen]
        microseconds = take_turns(ways, budget, least, patience=patience)
    milliseconds = {name: [value / 1e3 for value in values] for name, values in microseconds.items()}
    return Times(
        shape,
        threads,
        {way: milliseconds[way] for way in one_by_one.ALONE},
        {name: milliseconds[name] for name in (ENSEMBLE_OF_LOOPS, ENSEMBLE_OF_LAYERS) if name in milliseconds},
        {pack: milliseconds[str(pack)] for pack in chosen},
        frozenset(said),
    )


def _batches(shape: Shape, networks: int) -> int:
    usual = _ROUND * Shape(shape.cell).operations / shape.operations
    return math.ceil(min(_ROUND, max(_ROUND_OF_DEAR, usual)) / networks)


def way_alone(shape: Shape, way: str) -> Way:
    """One network on a few mini-batches."""
    batches = _batches(shape, 1)
    examples = RandomSequences(shape, batches).splits.training
    network = one_by_one.alone(shape, way)

    def run() -> None:
        order = torch.randperm(len(examples))
        network.train(examples.inputs, examples.targets, order, shape.batch)

    return Way(way, run, batches)


def _ensemble(shape: Shape, loop: bool, said: set[str]) -> Way:
    examples = RandomSequences(shape, 1).splits.training
    networks = ENSEMBLE_SIZE if loop else _LAYERS_AT_ONCE
    ensemble = one_by_one.ensemble(shape, networks, loop=loop)

    def run() -> None:
        orders = torch.stack([torch.randperm(len(examples)) for _ in range(networks)])
        ensemble.train(examples.inputs, examples.targets, orders, shape.batch)
        said.update(ensemble.said)

    return Way(ENSEMBLE_OF_LOOPS if loop else ENSEMBLE_OF_LAYERS, run, networks)


def way_of_ours(shape: Shape, wanted: Pack) -> Way:
    """A pack of ours on as many mini-batches as make a run long enough."""
    batches = _batches(shape, wanted.networks)
    trainer = packs.pack(shape, wanted.networks, batches, wanted.way)
    return Way(str(wanted), trainer.train_epoch, wanted.networks * batches)


def _median(values: Sequence[float]) -> float:
    return Spread.of(values).median
