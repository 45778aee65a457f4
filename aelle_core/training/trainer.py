"""What a trainer is: a pack of networks that becomes better at a task, epoch by epoch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.ranges import Choice, Range
from aelle_core.foundation.registry import Registry
from aelle_core.tasks import Task


@dataclass(frozen=True)
class NetworkSettings:
    """What makes one network differ from its neighbours in a pack.

    `scale` is the p of its initial weights U(-p, p), or whatever its cell makes of it; `clip` the largest norm of its
    gradient; `constants` overrule the defaults in the cell's equation; `initialiser` is the family that its initial
    weights are drawn from; `input_gain` multiplies its initial input weights; `forget_bias` is added to the bias of the
    gate that keeps its state; `truncation` is the number of steps that gradients flow back, None for all; `options` are
    what else its trainer reads, by name. `seed` starts streams for weights, order of examples and noise. Raises
    UserError on a truncation below one step.
    """

    seed: int
    scale: float
    learning_rate: float
    clip: float = 1.0
    constants: Mapping[str, float] = field(default_factory=dict)
    initialiser: str = "uniform"
    truncation: int | None = None
    options: Mapping[str, float | str] = field(default_factory=dict)
    input_gain: float = 1.0
    forget_bias: float = 0.0

    def __post_init__(self) -> None:
        if self.truncation is not None and self.truncation < 1:
            raise UserError(f"truncation {self.truncation}: expected at least 1 step, or None for all")

    def initial_weights(self, cell: Cell) -> dict[str, Tensor]:
        """Return the cell's parameters before training, float32, from the network's own stream."""
        drawn = cell.initialise(generator(self.seed, "weights"), self.scale, self.initialiser)
        return cell.shaped(drawn, self.input_gain, self.forget_bias)


@dataclass(frozen=True)
class EpochResult:
    """What one epoch left behind, each (networks,) on the CPU: losses in the task's unit, accuracy in [0, 1], NaN
    where the task has none.

    `train_loss` is the mean over the epoch's mini-batches (before training, epoch 0: over the training set).
    """

    epoch: int
    train_loss: Tensor
    validation_loss: Tensor
    validation_accuracy: Tensor
    alive: Tensor


@dataclass(frozen=True)
class Timing:
    """The best of one way: seconds for each network, with so many networks of the pack at once."""

    seconds: float
    networks_at_once: int


class Trainer(ABC):
    """Networks of one cell that are trained side by side on a task, each as if it were alone.

    Which trainer a task needs, the task says itself (`Task.trainer`). `epoch` is the number of epochs trained so far.
    `way_name` says how it computes, where there are several ways: a matter of speed and rounding. Raises UserError
    when there is no such way for the cell and device.
    No more than `networks_at_once` networks of the pack compute together; `at_once`; trainers that
    ignore it report all networks.
    `ranges` are what every network draws for this trainer, whatever its cell; `optional` is what a study may let its
    networks draw besides, by name, with what reads it; `trains` is the kind of cell it takes.
    """

    name: ClassVar[str]
    ranges: ClassVar[Mapping[str, Range]] = {}
    optional: ClassVar[Mapping[str, Callable[[object], Range | Choice]]] = {}
    reads: ClassVar[tuple[str, ...]] = ()  # which of these are its networks' options
    trains: ClassVar[type[Cell]] = Cell  # type: ignore[type-abstract]

    def __init__(
        self,
        cell: Cell,
        task: Task,
        settings: Sequence[NetworkSettings],
        *,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        way: str = "packed",
        at_once: int | None = None,
    ) -> None:
        self.check_way(way, cell, task, torch.device(device))
        if not settings:
            raise UserError(f"no networks of {cell.name!r} to train: expected the settings of at least one")
        self.cell = cell
        self.task = task
        self.settings = list(settings)
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.way_name = way
        self.networks_at_once = min(at_once or len(self.settings), len(self.settings))
        self.epoch = 0
        self._begin()

    def _begin(self) -> None:  # noqa: B027 - a trainer may have nothing to add
        """Draw what the networks start from; the last step of the constructor, which all trainers share."""

    @abstractmethod
    def run(self, epochs: int) -> Iterator[EpochResult]:
        """Train up to `epochs`, yielding after each epoch, and before training when it has not begun."""

    @abstractmethod
    def network(self) -> Network:
        """Return the pack's present networks, for the spectrum: its cell, parameters and constants."""

    @property
    def initial_state(self) -> Tensor | None:
        """Where trajectories of the present networks start, (networks, 1, state_size); None for zeros."""
        return None

    @abstractmethod
    def test(self) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy (NaN where the task has none) of the present networks in the task's test,
        (networks,)."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return all that training needs to continue with the same numbers, except the seeds. Parameters of the cell
        are under "parameters/" and their names, an initial state under "initial_state"."""

    @abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned."""

    @classmethod
    def ways(cls, cell: Cell, task: Task, device: torch.device) -> list[str]:
        """Return the ways in which packs of `cell` can be trained on `task` there."""
        return ["packed"]

    @classmethod
    def check_way(cls, name: str, cell: Cell, task: Task, device: torch.device) -> None:
        """Raise UserError where packs of `cell` cannot be trained on `task` in the way `name`."""
        if name not in (known := cls.ways(cell, task, device)):
            raise UserError(f"way {name!r} of {cls.name!r} cannot train {cell.name!r}: expected {', '.join(known)}")

    @classmethod
    def fastest_way(
        cls, cell: Cell, task: Task, batch_size: int, networks: int, device: torch.device
    ) -> tuple[str, int | None]:
        """Return the way to begin a pack of `networks` with on this machine, and how many of them at once (None:
        all)."""
        return "packed", None

    @classmethod
    @abstractmethod
    def epoch_timings(
        cls, cell: Cell, task: Task, batch_size: int, networks: int, device: torch.device, *, anew: bool = False
    ) -> dict[str, Timing]:
        """Return for each way how long an epoch takes with its validation, measured on this machine if it never was,
        or if `anew`."""

    @classmethod
    @abstractmethod
    def network_bytes(cls, cell: Cell, task: Task, batch_size: int) -> int:
        """About how many bytes training takes for each network of a pack: an upper estimate."""

    @classmethod
    @abstractmethod
    def size(cls, cell: Cell, task: Task) -> tuple[int, int]:
        """Return how many numbers one network trains, and how many bytes its checkpoint takes."""


trainers: Registry[Trainer] = Registry("trainer", "aelle_core.training")
