"""What a task is: seeded, disjoint training, validation and test sequences, and a loss."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.registry import Registry

_CODES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Examples:
    """Sequences (count, time, features) in float32 with one class each (count,) in int64, or one for every step
    (count, time).

    One-hot sequences are kept as codes, (count, time) of an integer type: k stands for a 1 at feature k. Raises
    UserError on numbers of other types.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (torch.float32, *_CODES):
            raise UserError(f"inputs of {self.inputs.dtype}: expected torch.float32, or whole numbers as one-hot codes")
        if self.targets.dtype != torch.int64:
            raise UserError(f"targets of {self.targets.dtype}: expected torch.int64, a class each")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def one_hot(self) -> bool:
        """Whether the inputs are codes."""
        return not self.inputs.is_floating_point()

    def check(self, features: int, classes: int) -> None:
        """Raise UserError where a code is no feature or a target no class: it would reach beyond an array, or into the
        weights of another network."""
        for what, numbers, count in (("code", self.inputs, features), ("target", self.targets, classes)):
            if not numbers.is_floating_point() and (found := beyond(numbers, count)) is not None:
                raise UserError(f"{what} {found}: expected 0 to {count - 1}")

    def to(self, device: torch.device | str) -> "Examples":
        """The same examples on `device`."""
        return Examples(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True)
class Splits:
    """Disjoint examples: `training` to fit, `validation` for losses and spectra, `test` for the final word."""

    training: Examples
    validation: Examples
    test: Examples


class Task(ABC):
    """What networks are trained to do, by the trainer that it names (a registered one of aelle_core.training).

    `seed` decides all that is drawn; the same seed gives the same data everywhere. Options that a task takes (a
    directory, how rows are cut) are keyword arguments of its constructor, which checks them. `loss_name` says what
    its losses are, as an axis is labelled.
    """

    name: ClassVar[str]
    trainer: ClassVar[str]
    loss_name: ClassVar[str] = "loss (nats)"
    data_option: ClassVar[str] = "directory"  # the option that says where the user's data are

    def __init__(self, *, seed: int = 0) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UserError(f"task seed {seed!r}: expected a whole number of at least 0")
        self.seed = seed

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Features per step."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps per sequence."""

    @abstractmethod
    def statement(self) -> dict[str, Any]:
        """What the result says about the data."""

    @abstractmethod
    def spectrum_inputs(self, sequences: int) -> Tensor:
        """(sequences, time, features) along which spectra are taken; fewer sequences where there are no more."""

    def illustration(self) -> list[tuple[str, np.ndarray]]:
        """A few labelled pictures of the task: curves (time,), or sequences (time, features). Raises UserError when
        its data are missing."""
        return [(f"sequence {place}", one.numpy()) for place, one in enumerate(self.spectrum_inputs(4), start=1)]

    def check(self, batch_size: int = 1) -> None:  # noqa: B027 - most tasks have nothing to check
        """Raise UserError at once where the data are bound to fail, or are too few for a mini-batch of that size.
        Called before anything is trained."""


class Classification(Task):
    """A classification of sequences, trained by cross-entropy, after the last step or, with `readout` "every", after
    each: `seed` decides which examples are used for what; the data are read when `splits` is first used. Of the
    training examples each network sees its own `share`."""

    trainer: ClassVar[str] = "gradient"
    classes: ClassVar[int]
    readout: ClassVar[Literal["last", "every"]] = "last"
    share: float = 1.0

    @abstractmethod
    def load(self) -> Splits:
        """Read, check and split the data. Raises UserError when they are missing or broken."""

    @cached_property
    def splits(self) -> Splits:
        """The examples, read once. Raises UserError where they are missing, broken or beyond what the task says."""
        splits = self.load()
        for each in (splits.training, splits.validation, splits.test):
            each.check(self.input_size, self.classes)
        return splits

    def spectrum_inputs(self, sequences: int) -> Tensor:
        chosen = self.splits.validation.inputs[:sequences]
        return functional.one_hot(chosen.long(), self.input_size).float() if self.splits.validation.one_hot else chosen

    @property
    def examples_per_network(self) -> int:
        """How many training examples each network sees."""
        return max(1, round(self.share * len(self.splits.training)))

    def own_examples(self, seed: int) -> Tensor:
        """The training examples, by index, that the network with this seed sees: drawn without replacement."""
        count = len(self.splits.training)
        if self.share == 1:
            return torch.arange(count)
        return torch.randperm(count, generator=generator(seed, "share"))[: self.examples_per_network]

    def order(self, seed: int, epoch: int) -> Tensor:
        """The same in the order in which an epoch trains on them."""
        own = self.own_examples(seed)
        return own[torch.randperm(len(own), generator=generator(seed, "order", epoch))]

    def statement(self) -> dict[str, Any]:
        """What the result says about the data: sizes, seed, shape, and a hash of each split."""
        splits = self.splits
        return {
            "task": self.name,
            "seed": self.seed,
            "steps": self.steps,
            "features": self.input_size,
            "classes": self.classes,
            "splits": {
                name: {"examples": len(part), "sha256": _digest(part)}
                for name in ("training", "validation", "test")
                for part in [getattr(splits, name)]
            },
        }


def _digest(examples: Examples) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(examples.inputs.numpy()).tobytes())
    digest.update(np.ascontiguousarray(examples.targets.numpy()).tobytes())
    return digest.hexdigest()[:16]


def beyond(numbers: Tensor, count: int) -> int | None:
    """The least or the largest of whole numbers where it is not from 0 to count - 1; None where all are."""
    if not numbers.numel():
        return None
    least, largest = (int(each) for each in numbers.aminmax())
    if least >= 0 and largest < count:
        return None
    return least if least < 0 else largest


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """The loss of classifications: in nats, of class scores (networks, rows, classes) against targets (networks, rows),
    averaged over the rows: (networks,). Rows are the sequences, or every step of them."""
    losses = functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape).mean(dim=1)


def permutation(count: int, seed: int) -> Tensor:
    """A seeded order of `count` examples, the same on every machine."""
    return torch.from_numpy(np.random.default_rng([seed, count]).permutation(count))


tasks: Registry[Task] = Registry("task", "aelle_core.tasks")


def get_task(name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> Task:
    """The registered task `name` with its options. Raises UserError on an unknown name or option."""
    kind = tasks[name]
    try:
        return kind(seed=seed, **(options or {}))
    except TypeError as error:
        raise UserError(f"task {name!r} was given options {dict(options or {})!r}: {error}") from error
