"""Adding two numbers that were marked in a long sequence."""

import numpy as np
import torch

from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits, shares_of
from aelle_core.tasks.supervised import Regression


@tasks.register("adding")
class Adding(Regression):
    """The sum of two marked numbers: feature 0 is uniform in [0, 1), feature 1 is 1 at two steps and 0 elsewhere.

    length    steps of a sequence; one mark lies in its first half, one in its second
    examples  how many sequences, of which 60 % train, 20 % validate and 20 % test

    The target after the last step is the sum of the two marked numbers; a network that always answers 1 has a mean
    squared error of 1/6. Hochreiter & Schmidhuber, Long short-term memory, 1997, section 5.4; one mark in each half:
    Le, Jaitly, Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015.
    """

    input_size = 2
    outputs = 1

    def __init__(self, *, seed: int = 0, length: int = 40, examples: int = 2000) -> None:
        super().__init__(seed=seed)
        for label, value, low, high in (("length", length, 2, 10_000), ("examples", examples, 5, 1_000_000)):
            check_whole(f"adding: {label}", value, low, high)
        self.length = length
        self.examples = examples

    @property
    def steps(self) -> int:
        return self.length

    def load(self) -> Splits:
        source = np.random.default_rng([self.seed, 6])
        rows, half = np.arange(self.examples), self.length // 2
        inputs = np.zeros((self.examples, self.length, 2), dtype=np.float32)
        inputs[..., 0] = source.random((self.examples, self.length), dtype=np.float32)
        first = source.integers(half, size=self.examples)
        second = source.integers(half, self.length, size=self.examples)
        inputs[rows, first, 1] = inputs[rows, second, 1] = 1
        sums = inputs[rows, first, 0] + inputs[rows, second, 0]
        return shares_of(Examples(torch.from_numpy(inputs), torch.from_numpy(sums[:, None])))
