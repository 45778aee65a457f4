"""What is trained: cells, shapes, and random sequences of those shapes."""

from dataclasses import dataclass, replace

import torch

from aelle_core.cells import cells, get_cell
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Classification, Examples, Splits
from aelle_core.training import NetworkSettings
from benchmarks.peers.layers import CELLS as LAYER_CELLS
from benchmarks.peers.loops import LOOPS
from benchmarks.spectrum.cases import SEED

CELLS = (*LAYER_CELLS, *(name for name in cells if name in LOOPS and name not in LAYER_CELLS))  # trained by gradients
CLASSES = 10
LEARNING_RATE = 2e-3
_OF_NEW_STATE = {"lem": "Wy"}  # matrices whose factor is new within the step: it depends on weights at once


@dataclass(frozen=True)
class Shape:
    """A cell of `units` units on mini-batches of `batch` sequences of `steps` steps of `features` numbers: by default
    those of row-wise sequential MNIST."""

    cell: str
    units: int = 64
    steps: int = 28
    batch: int = 128
    features: int = 28

    def with_(self, **changes: int) -> "Shape":
        return replace(self, **changes)

    @property
    def operations(self) -> float:
        """Floating-point operations of a mini-batch's matrix products, forward and backward, for one network; a
        multiplication and an addition are two.

        Every entry of a matrix meets every sequence and step once forward; once more for the gradient of the matrix;
        and, where the other factor is a state that depends on weights, once for that state's gradient: not for the
        inputs, nor at the first step, whose state is zero. What is pointwise, and the matrix exponential of ornn, is
        not counted.
        """
        shapes = get_cell(self.cell, 1, self.units).parameter_shapes()
        matrices = {name: shape for name, shape in shapes.items() if len(shape) == 2}
        driven = sum(rows for rows, columns in matrices.values() if columns == 1)
        recurrent = {name: rows * columns for name, (rows, columns) in matrices.items() if columns > 1}
        at_zero = sum(size for name, size in recurrent.items() if name != _OF_NEW_STATE.get(self.cell))
        row = 2 * self.batch
        by_input = 2 * row * self.steps * driven * self.features
        by_state = 3 * row * self.steps * sum(recurrent.values()) - row * at_zero
        return by_input + by_state + 3 * row * CLASSES * self.units


class RandomSequences(Classification):
    """Standard normal sequences with random classes: the work of a task, without its data."""

    name = "random"
    classes = CLASSES

    def __init__(self, shape: Shape, batches: int) -> None:
        super().__init__(seed=SEED)
        self._shape = shape
        self._examples = batches * shape.batch

    @property
    def input_size(self) -> int:
        return self._shape.features

    @property
    def steps(self) -> int:
        return self._shape.steps

    def load(self) -> Splits:
        source = generator(self.seed, "test")
        inputs = torch.randn(self._examples, self.steps, self.input_size, generator=source)
        training = Examples(inputs, torch.randint(CLASSES, (self._examples,), generator=source))
        few = Examples(training.inputs[:16], training.targets[:16])
        return Splits(training, few, few)


def settings_of(networks: int, units: int) -> list[NetworkSettings]:
    """Networks that differ in their seeds alone, with torch.nn's own initial scale."""
    return [NetworkSettings(seed, units**-0.5, LEARNING_RATE) for seed in range(networks)]
