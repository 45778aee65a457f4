"""What a way is: from parameters and inputs to hidden states that autograd can differentiate."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.errors import UserError
from aelle_core.registry import Registry

Cuts = Mapping[int, Tensor]
NO_CUTS: Cuts = MappingProxyType({})
Readout = Literal["last", "every"]


class Way(ABC):
    """Runs packs of `cell`, read out after the `last` step or after `every` one.

    All ways give the same losses up to rounding, and networks never disturb each other. A way belongs to one trainer:
    it may keep memory from one mini-batch for the next.
    """

    name: ClassVar[str]

    def __init__(self, cell: Cell, readout: Readout, device: torch.device) -> None:
        self.cell = cell
        self.readout = readout
        self.device = device

    @classmethod
    @abstractmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        """Why this way cannot run that cell there, in a few words; None where it can."""

    @abstractmethod
    def hidden(
        self,
        parameters: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        inputs: Tensor,
        noise: Tensor | None = None,
        cuts: Cuts = NO_CUTS,
    ) -> Tensor:
        """The state part that is read out, (networks, batch, units) after the last step or (networks, time, batch,
        units) after every step.

        `parameters` are (networks, ...), `constants` (networks, 1, 1), `inputs` (networks, time, batch, features), or
        (networks, time, batch) codes of one-hot inputs, and `noise`, for cells that train under it, (networks, time,
        batch, noise_channels * units). States start at zero. `cuts` are the steps after which gradients do not flow
        back (see aelle_core.training.truncation).
        """

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
        known = ", ".join(available_ways(cell, device))
        raise UserError(f"way {name!r} cannot train {cell.name!r} on {device.type}: {obstacle}; expected {known}")
    return kind


def get_way(name: str, cell: Cell, readout: Readout, device: torch.device) -> Way:
    """The way `name` for packs of `cell`. Raises UserError where `check_way` does."""
    return check_way(name, cell, device)(cell, readout, device)


def available_ways(cell: Cell, device: torch.device) -> list[str]:
    """The names of all ways that can train packs of `cell` there."""
    return [name for name in ways if ways[name].obstacle(cell, device) is None]
