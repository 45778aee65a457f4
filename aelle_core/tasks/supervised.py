"""Tasks that are learned from sequences with targets, by gradient."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.foundation.random_streams import generator
from aelle_core.tasks.base import Task
from aelle_core.tasks.examples import Examples, Splits
from aelle_core.tasks.losses import Loss, losses

Readout = Literal["last", "every"]


class Supervised(Task):
    """Sequences with targets: a linear readout of `outputs` numbers is compared with them by the registered `loss`,
    after the last step or, with `readout` "every", after each.

    `seed` decides which examples are used for what; the data are read when `splits` is first used. Of the training
    examples each network sees its own `share`. A subclass has `outputs`, `input_size`, `steps` and `load`, and `ragged`
    where its sequences differ in length.
    """

    trainer: ClassVar[str] = "gradient"
    loss: str
    readout: Readout = "last"
    ragged: bool = False
    share: float = 1.0

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that a network is read out into: a score for each class, or what is to be predicted."""

    @abstractmethod
    def load(self) -> Splits:
        """Read, check and split the data. Raises UserError when they are missing or broken."""

    @property
    def loss_kind(self) -> type[Loss]:
        """The class of the loss."""
        return losses[self.loss]

    @property
    def read_out_after(self) -> Readout:
        """After which steps the networks have to be read out: after each where sequences end at different steps."""
        return "every" if self.ragged else self.readout

    @cached_property
    def splits(self) -> Splits:
        """The examples, read once. Raises UserError where they are missing, broken or beyond what the task says."""
        splits = self.load()
        for part in (splits.training, splits.validation, splits.test):
            self.check_examples(part)
        return splits

    def check_examples(self, examples: Examples) -> None:
        """Raise UserError where examples are beyond what the task says."""
        examples.check(self.input_size, self.outputs, self.loss_kind.classes)

    def spectrum_inputs(self, sequences: int) -> Tensor:
        chosen = self.splits.validation.inputs[:sequences]
        return functional.one_hot(chosen.long(), self.input_size).float() if self.splits.validation.one_hot else chosen

    @property
    def examples_per_network(self) -> int:
        """How many training examples each network sees."""
        return max(1, round(self.share * len(self.splits.training)))

    def own_examples(self, seed: int) -> Tensor:
        """Return the training examples, by index, (examples,), that the network with this seed sees: drawn without
        replacement."""
        count = len(self.splits.training)
        if self.share == 1:
            return torch.arange(count)
        return torch.randperm(count, generator=generator(seed, "share"))[: self.examples_per_network]

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the same, (examples,), in the order in which an epoch trains on them."""
        own = self.own_examples(seed)
        return own[torch.randperm(len(own), generator=generator(seed, "order", epoch))]

    def statement(self) -> dict[str, Any]:
        """Return what the result says about the data: sizes, seed, shape, and a hash of each split."""
        splits = self.splits
        what = "classes" if self.loss_kind.classes else "outputs"
        return {
            "task": self.name,
            "seed": self.seed,
            "steps": self.steps,
            "features": self.input_size,
            what: self.outputs,
            "splits": {
                name: {"examples": len(part), "sha256": part.digest()}
                for name in ("training", "validation", "test")
                for part in [getattr(splits, name)]
            },
        }


class Classification(Supervised):
    """Sequences with a class each, or one for every step, learned by cross-entropy. A subclass has `classes`."""

    loss = "cross_entropy"
    classes: int

    @property
    def outputs(self) -> int:
        return self.classes


class Regression(Supervised):
    """Sequences with real numbers, or some for every step, learned by the mean squared error. A subclass has
    `outputs`."""

    loss = "squared_error"
    loss_name: ClassVar[str] = "mean squared error"
