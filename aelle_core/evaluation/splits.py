"""Seeded splits of networks: all epochs of a network are on the same side."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from aelle_core.evaluation.examples import Examples


@dataclass(frozen=True)
class Split:
    """Names of the networks that train, that choose thresholds, and that test."""

    number: int
    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


def splits_by_network(
    examples: Examples, count: int, *, seed: int, validation: float = 0.1, test: float = 0.2
) -> list[Split]:
    """`count` random splits, 70/10/20 by default (the paper's for SMNIST), each cell in its share on every side
    where it has networks enough."""
    return [_split(examples, number, seed, validation, test) for number in range(count)]


def _split(examples: Examples, number: int, seed: int, validation: float, test: float) -> Split:
    state = np.random.RandomState(np.random.SeedSequence([seed, number]).generate_state(4))
    rest, tested = _cut(examples.networks, examples.cells, test, state)
    cells = dict(zip(examples.networks, examples.cells, strict=True))
    train, chosen = _cut(rest, np.array([cells[name] for name in rest]), validation / (1 - test), state)
    return Split(number, *(frozenset(map(str, names)) for names in (train, chosen, tested)))


def _cut(
    names: np.ndarray, cells: np.ndarray, share: float, state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    _, counts = np.unique(cells, return_counts=True)
    stratify = cells if counts.min() >= 2 and share * len(names) >= len(counts) else None
    first, second = train_test_split(names, test_size=share, stratify=stratify, random_state=state)
    return first, second
