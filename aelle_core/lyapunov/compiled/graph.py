"""A step as operations on numbered elements: what moves numbers about has become numbers of elements."""

import hashlib
from dataclasses import dataclass, field

import numpy as np


class NotCompilableError(Exception):
    """The step does something that is not compiled; the message says what."""


@dataclass(frozen=True)
class Operation:
    """Elements `first`, `first + 1`, ... are made, one for each row of the operands.

    kind       a name of emit/rules.py, "dot" or "sum"
    operands   element numbers (count,); of "dot" and "sum" (count, terms)
    moves      whether the results hang on the state
    exact      whether nothing is rounded, so that nothing is disturbed
    """

    kind: str
    first: int
    operands: tuple[np.ndarray, ...]
    moves: bool
    exact: bool

    @property
    def count(self) -> int:
        return len(self.operands[0])


@dataclass
class Graph:
    """Elements of one step in the order of their numbers: a zero, the state, the inputs, then constants and results as
    they come.

    constants   element -> its number
    results     (size,) the elements that are the new state
    """

    size: int
    features: int
    operations: list[Operation] = field(default_factory=list)
    constants: dict[int, float] = field(default_factory=dict)
    results: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    elements: int = 0

    def structure(self) -> bytes:
        """Return a digest of all but the constants' values: graphs that share it share their code."""
        digest = hashlib.sha256(repr((self.size, self.features, self.elements)).encode())
        digest.update(np.array([*self.constants], np.int64).tobytes() + self.results.tobytes())
        for operation in self.operations:
            digest.update(
                repr(
                    (operation.kind, operation.first, operation.moves, [part.shape for part in operation.operands])
                ).encode()
            )
            for part in operation.operands:
                digest.update(part.tobytes())
        return digest.digest()

    @property
    def state(self) -> range:
        return range(1, 1 + self.size)

    @property
    def inputs(self) -> range:
        return range(1 + self.size, 1 + self.size + self.features)
