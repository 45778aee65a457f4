"""Sequences with their targets, split into parts that do not meet."""

import hashlib
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError

_CODES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Examples:
    """Sequences with targets, one for each sequence or one for every step.

    inputs   (count, time, features) in float32; one-hot sequences are kept as codes, (count, time) of an integer type:
             k stands for a 1 at feature k
    targets  classes in int64, (count,) or (count, time); or real numbers in float32, (count, outputs) or (count, time,
             outputs)
    lengths  (count,) in int64: how many steps each sequence has, where they differ. What lies behind counts for
             nothing. A sequence that is read out at its end is read out after its own last step

    Raises UserError on numbers of other types.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (torch.float32, *_CODES):
            raise UserError(f"inputs of {self.inputs.dtype}: expected torch.float32, or whole numbers as one-hot codes")
        if self.targets.dtype not in (torch.int64, torch.float32):
            raise UserError(f"targets of {self.targets.dtype}: expected torch.int64, a class each, or torch.float32")
        if self.lengths is not None and self.lengths.dtype != torch.int64:
            raise UserError(f"lengths of {self.lengths.dtype}: expected torch.int64, the steps of each sequence")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def one_hot(self) -> bool:
        """Whether the inputs are codes."""
        return not self.inputs.is_floating_point()

    def check(self, features: int, outputs: int, classes: bool = True) -> None:
        """Raise UserError where a code is no feature, or a target no class (with `classes`) or not `outputs` finite
        numbers, or a length no number of steps: it would reach beyond an array, or into another network's weights."""
        if self.one_hot:
            _check_below(self.inputs, features, "code")
        if self.lengths is not None:
            _check_below(self.lengths - 1, self.inputs.shape[1], "last step")
        if classes != (self.targets.dtype == torch.int64):
            expected = "torch.int64, a class each" if classes else "torch.float32, real numbers"
            raise UserError(f"targets of {self.targets.dtype}: expected {expected}")
        if classes:
            _check_below(self.targets, outputs, "target")
        elif self.targets.shape[-1] != outputs or not self.targets.isfinite().all():
            raise UserError(f"targets of {self.targets.shape[-1]} numbers: expected {outputs}, all of them finite")

    def to(self, device: torch.device | str) -> "Examples":
        """Return the same examples on `device`."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Examples(self.inputs.to(device), self.targets.to(device), lengths)

    def digest(self) -> str:
        """Return 16 hexadecimal digits that stand for all numbers in it."""
        digest = hashlib.sha256()
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                digest.update(np.ascontiguousarray(value.numpy()).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Splits:
    """Disjoint examples: `training` to fit, `validation` for losses and spectra, `test` for the final word."""

    training: Examples
    validation: Examples
    test: Examples


def shares_of(whole: Examples) -> Splits:
    """Return the first 60 % of examples to train, the next 20 % to validate and the rest to test: for examples that
    were drawn independently of each other."""
    first, second = int(0.6 * len(whole)), int(0.8 * len(whole))
    parts = (slice(first), slice(first, second), slice(second, None))
    return Splits(*(Examples(whole.inputs[part], whole.targets[part]) for part in parts))


def beyond(numbers: Tensor, count: int) -> int | None:
    """Return the least or the largest of `numbers`, any shape, where it is outside [0, count), or None."""
    if not numbers.numel():
        return None
    least, largest = (int(bound) for bound in numbers.aminmax())
    if least >= 0 and largest < count:
        return None
    return least if least < 0 else largest


def permutation(count: int, seed: int) -> Tensor:
    """Return a seeded order of `count` examples, (count,), the same on every machine."""
    return torch.from_numpy(np.random.default_rng([seed, count]).permutation(count))


def _check_below(numbers: Tensor, count: int, what: str) -> None:
    if (wrong := beyond(numbers, count)) is not None:
        raise UserError(f"{what} {wrong}: expected 0 to {count - 1}")
