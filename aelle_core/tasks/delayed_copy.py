"""Naming a symbol that was shown some time ago, through noise."""

import numpy as np
import torch

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits, shares_of
from aelle_core.tasks.supervised import Classification


@tasks.register("delayed_copy")
class DelayedCopy(Classification):
    """One of `symbols` symbols is shown at the first step; after `delay` steps of noise it has to be named.

    symbols   features and classes: symbol k is a 1 at feature k; chance is a loss of log(symbols)
    delay     steps after the first one
    noise     standard deviation of the normal noise that is added to every feature at every step
    examples  how many sequences, of which 60 % train, 20 % validate and 20 % test

    A network has to carry log2(symbols) bits over the delay. Hochreiter & Schmidhuber, Long short-term memory, 1997,
    section 5; Arjovsky, Shah, Bengio, Unitary evolution recurrent neural networks, 2016, copy longer sequences.
    """

    def __init__(
        self, *, seed: int = 0, symbols: int = 8, delay: int = 20, noise: float = 0.1, examples: int = 2000
    ) -> None:
        super().__init__(seed=seed)
        for label, value, low, high in (
            ("symbols", symbols, 2, 1000),
            ("delay", delay, 0, 10_000),
            ("examples", examples, 5, 1_000_000),
        ):
            check_whole(f"delayed_copy: {label}", value, low, high)
        if not isinstance(noise, int | float) or isinstance(noise, bool) or not 0 <= noise <= 100:
            raise UserError(f"delayed_copy: noise={noise!r}: expected a number from 0 to 100")
        self.classes = symbols
        self.delay = delay
        self.noise = float(noise)
        self.examples = examples

    @property
    def input_size(self) -> int:
        return self.classes

    @property
    def steps(self) -> int:
        return 1 + self.delay

    def load(self) -> Splits:
        source = np.random.default_rng([self.seed, 5])
        targets = source.integers(self.classes, size=self.examples)
        inputs = self.noise * source.standard_normal((self.examples, self.steps, self.classes), dtype=np.float32)
        inputs[np.arange(self.examples), 0, targets] += 1
        whole = Examples(torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(targets))
        return shares_of(whole)
