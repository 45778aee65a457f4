"""What a way is: from parameters and inputs to class scores, and to losses that autograd can differentiate."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry
from aelle_core.tasks import cross_entropy
from aelle_core.training.mini_batches import MiniBatch

Readout = Literal["last", "every"]


class Way(ABC):
    """Runs packs of `cell`, read out after the `last` step or after `every` one.

    All ways that are not `rounded` give the same losses up to float32's last bits, and networks never disturb each
    other. A way belongs to one trainer: it may keep memory from one mini-batch for the next.
    """

    name: ClassVar[str]
    rounded: ClassVar[bool] = False
    """Whether products are rounded more coarsely than float32: other losses, and only for who asks for them by name."""
    own_threads: ClassVar[bool] = False
    """Whether the networks are shared among threads, each with a way of its own, instead of torch's doing."""

    def __init__(self, cell: Cell, readout: Readout, device: torch.device) -> None:
        self.cell = cell
        self.readout = readout
        self.device = device

    @classmethod
    @abstractmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        """Why this way cannot run that cell there, in a few words; None where it can."""

    @abstractmethod
    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        """The state part that is read out, (networks, batch, units) after the last step or (networks, time, batch,
        units) after every step.

        `parameters` are (networks, ...), `constants` (networks, 1, 1). States start at zero. Gradients are those of
        `losses`: a way that makes them there may give the state without.
        """

    def scores(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        """Class scores of what `hidden` takes: (networks, batch, classes) after the last step or (networks, time *
        batch, classes) after every step. Among the parameters are `readout_weight` (networks, classes, units) and
        `readout_bias` (networks, classes)."""
        hidden = self.hidden(parameters, constants, batch)
        if self.readout == "every":
            hidden = hidden.flatten(1, 2)  # all steps in one product
        return torch.baddbmm(parameters["readout_bias"].unsqueeze(1), hidden, parameters["readout_weight"].mT)

    def losses(
        self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch, targets: Tensor
    ) -> Tensor:
        """Mean cross-entropies in nats (networks,) against targets (networks, rows), where rows are those of `scores`;
        autograd can differentiate them by the parameters."""
        return cross_entropy(self.scores(parameters, constants, batch), targets)

    def arithmetic(self) -> AbstractContextManager[object]:
        """What a mini-batch's forward and backward passes run within."""
        return nullcontext()

    def drives(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """The inputs' share of every pre-activation, (networks, time, batch, gates * units)."""
        if inputs.is_floating_point():
            return self.cell.drive(weights, inputs.flatten(1, 2)).unflatten(1, inputs.shape[1:3])
        # A one-hot input has no more drives than it has features: they are computed once each, and looked up.
        networks, features = len(inputs), self.cell.input_size
        like = next(iter(weights.values()))
        each = torch.eye(features, dtype=like.dtype, device=like.device).expand(networks, -1, -1)
        first = torch.arange(0, networks * features, features, device=inputs.device).view(-1, 1, 1)
        return functional.embedding(inputs + first, self.cell.drive(weights, each).flatten(0, 1))

    def release(self) -> None:  # noqa: B027 - most ways keep nothing
        """Give back the memory that is kept between mini-batches."""


ways: Registry[Way] = Registry("way", "aelle_core.training.ways")


def check_way(name: str, cell: Cell, device: torch.device) -> type[Way]:
    """The registered way `name`. Raises UserError when it is unknown or cannot train packs of `cell` on the device."""
    kind = ways[name]
    if (obstacle := kind.obstacle(cell, device)) is not None:
        known = ", ".join(available_ways(cell, device, rounded=True))
        raise UserError(f"way {name!r} cannot train {cell.name!r} on {device.type}: {obstacle}; expected {known}")
    return kind


def get_way(name: str, cell: Cell, readout: Readout, device: torch.device) -> Way:
    """The way `name` for packs of `cell`. Raises UserError where `check_way` does."""
    return check_way(name, cell, device)(cell, readout, device)


def available_ways(cell: Cell, device: torch.device, *, rounded: bool = False) -> list[str]:
    """The names of the ways that can train packs of `cell` there, and of those that are `rounded` where it is said."""
    able = [name for name in ways if ways[name].obstacle(cell, device) is None]
    return [name for name in able if rounded or not ways[name].rounded]
