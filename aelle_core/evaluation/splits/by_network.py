"""Seeded splits of networks: all epochs of a network are on the same side."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.splits.protocol import Shares


@dataclass(frozen=True)
class Split:
    """Names of the networks that train, that choose cuts (none: those that train do), and that test."""

    number: int
    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


def splits_by_network(examples: NetworkExamples, count: int, *, seed: int, shares: Shares) -> list[Split]:
    """`count` random splits, each cell in its share on every side where it has networks enough.

    Raises UserError where a side would have none.
    """
    shares.check(len(examples))
    return [_split(examples, number, seed, shares) for number in range(count)]


def _split(examples: NetworkExamples, number: int, seed: int, shares: Shares) -> Split:
    state = np.random.RandomState(np.random.SeedSequence([seed, number]).generate_state(4))
    train, tested = _cut(examples.networks, examples.cells, shares.test, state)
    chosen = train[:0]
    if shares.validation:
        cells = dict(zip(examples.networks, examples.cells, strict=True))
        remaining = np.array([cells[name] for name in train])
        train, chosen = _cut(train, remaining, shares.validation / (1 - shares.test), state)
    return Split(number, *(frozenset(map(str, names)) for names in (train, chosen, tested)))


def _cut(
    names: np.ndarray, cells: np.ndarray, share: float, state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    _, counts = np.unique(cells, return_counts=True)
    least = min(share, 1 - share) * len(names)
    stratify = cells if counts.min() >= 2 and least >= len(counts) else None
    first, second = train_test_split(names, test_size=share, stratify=stratify, random_state=state)
    return first, second
