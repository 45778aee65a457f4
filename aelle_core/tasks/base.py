"""What a task is: what networks are trained to do, with the data that a seed decides."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry


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
        """Return what the result says about the data."""

    @abstractmethod
    def spectrum_inputs(self, sequences: int) -> Tensor:
        """(sequences, time, features) along which spectra are taken; fewer sequences where there are no more."""

    def illustration(self) -> list[tuple[str, np.ndarray]]:
        """Return a few labelled pictures of the task: curves (time,), or sequences (time, features). Raises UserError
        when its data are missing."""
        return [
            (f"sequence {number}", sequence.numpy()) for number, sequence in enumerate(self.spectrum_inputs(4), start=1)
        ]

    @property
    def known_steps(self) -> int | None:
        """Steps per sequence where the options alone decide them; None where the data have to be read for them."""
        return self.steps

    def check(self, batch_size: int = 1, warmup: int = 0) -> None:  # noqa: B027 - most tasks have nothing to check
        """Raise UserError at once where the data are bound to fail, are too few for a mini-batch of that size, or too
        short for spectra that do not count the first `warmup` steps. Called before anything is trained."""

    def keep_with(self, run: Place) -> None:  # noqa: B027 - most data are found again by their options
        """Copy the data to a run, once, so that workers on other nodes and later calls find the same data there.
        Raises UserError where other data are kept there."""

    def found_with(self, run: Place) -> Self:
        """Return the task with the data that are kept with a run, where there are some."""
        return self


tasks: Registry[Task] = Registry("task", "aelle_core.tasks")


def get_task(name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> Task:
    """Return the registered task `name` with its options. Raises UserError on an unknown name or option.

    >>> get_task("digits", seed=1).input_size
    8
    """
    kind = tasks[name]
    try:
        return kind(seed=seed, **(options or {}))
    except TypeError as error:
        raise UserError(f"task {name!r} was given options {dict(options or {})!r}: {error}") from error
