"""Handwritten digits read a few pixels at a time: scikit-learn's bundled images, no download."""

import torch

from aelle_core.foundation.errors import UserError
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits, permutation
from aelle_core.tasks.supervised import Classification

_PIXELS = 64


@tasks.register("digits")
class Digits(Classification):
    """1,797 images of 8 x 8 pixels as sequences; after the last pixel the network may be made to wait.

    `pixels` (a divisor of 64) are read per step, in rows from the top, so a sequence has 64 / pixels steps, then
    `delay` steps of silence over which the network has to keep what it saw. Values are scaled to [0, 1]. 60 % of
    the images train, 20 % validate, 20 % test. Alpaydin & Kaynak, Optical recognition of handwritten digits (UCI).
    """

    classes = 10

    def __init__(self, *, seed: int = 0, pixels: int = 8, delay: int = 0) -> None:
        super().__init__(seed=seed)
        if not isinstance(pixels, int) or pixels < 1 or _PIXELS % pixels:
            raise UserError(f"digits: pixels={pixels!r}: expected a divisor of {_PIXELS} (8 is one row per step)")
        if not isinstance(delay, int) or not 0 <= delay <= 10_000:
            raise UserError(f"digits: delay={delay!r}: expected a whole number of steps from 0 to 10000")
        self.pixels = pixels
        self.delay = delay

    @property
    def input_size(self) -> int:
        return self.pixels

    @property
    def steps(self) -> int:
        return _PIXELS // self.pixels + self.delay

    def load(self) -> Splits:
        from sklearn.datasets import load_digits

        bundle = load_digits()
        images = torch.from_numpy(bundle.data).float().div_(16).view(-1, _PIXELS // self.pixels, self.pixels)
        images = torch.nn.functional.pad(images, (0, 0, 0, self.delay))
        targets = torch.from_numpy(bundle.target).long()
        order = permutation(len(targets), self.seed)
        first, second = int(0.6 * len(order)), int(0.8 * len(order))
        parts = (order[:first], order[first:second], order[second:])
        return Splits(*(Examples(images[part], targets[part]) for part in parts))
