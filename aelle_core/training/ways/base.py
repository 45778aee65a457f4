"""What a way is: from parameters and inputs to outputs, and to losses that autograd can differentiate."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry
from aelle_core.tasks.losses import CrossEntropy, Loss
from aelle_core.tasks.supervised import Readout
from aelle_core.training.mini_batches import MiniBatch


class Way(ABC):
    """Runs packs of `cell`, read out after the `last` step or after `every` one, and compares the outputs by `loss`.

    All ways that are not `rounded` give the same losses up to float32's last bits, and networks never disturb each
    other. A way belongs to one trainer: it may keep memory from one mini-batch for the next.
    """

    name: ClassVar[str]
    rounded: ClassVar[bool] = False
    """True if matrix products use less than float32 precision. Losses then differ, so the way is used only when named
    explicitly."""
    own_threads: ClassVar[bool] = False
    """True if each thread runs its own Way on a share of the networks; False leaves threading to torch."""

    def __init__(self, cell: Cell, readout: Readout, device: torch.device, loss: type[Loss] = CrossEntropy) -> None:
        self.cell = cell
        self.readout = readout
        self.device = device
        self.loss = loss

    @classmethod
    @abstractmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        """Why this way cannot run that cell there, in a few words; None where it can."""

    @classmethod
    def loss_obstacle(cls, loss: type[Loss]) -> str | None:
        """Return why this way cannot lower that loss, in a few words; None where it can."""
        return None

    @abstractmethod
    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        """Return the state part that is read out, (networks, batch, units) after the last step or (networks, time,
        batch, units) after every step.

        `parameters` are (networks, ...), `constants` (networks, 1, 1). States start at zero. Gradients are those of
        `losses`: a way that makes them there may give the state without.
        """

    def scores(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        """Return the outputs, such as class scores, of what `hidden` takes: (networks, batch, outputs) after the last
        step or (networks, time * batch, outputs) after every step. Among the parameters are `readout_weight` (networks,
        outputs, units) and `readout_bias` (networks, outputs)."""
        hidden = self.hidden(parameters, constants, batch)
        if self.readout == "every":
            hidden = hidden.flatten(1, 2)  # all steps in one product
        return torch.baddbmm(parameters["readout_bias"].unsqueeze(1), hidden, parameters["readout_weight"].mT)

    def losses(
        self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch, targets: Tensor
    ) -> Tensor:
        """Return the mean losses (networks,) against targets (networks, rows) or (networks, rows, outputs), where rows
        are those of `scores` and count as `batch.weights` says; autograd can differentiate them by the parameters."""
        return self.loss.mean(self.scores(parameters, constants, batch), targets, batch.weights)

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return what a mini-batch's forward and backward passes run within."""
        return nullcontext()

    def drives(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the inputs' share of every pre-activation, (networks, time, batch, gates * units)."""
        if inputs.is_floating_point():
            return self.cell.drive(weights, inputs.flatten(1, 2)).unflatten(1, inputs.shape[1:3])
        # A one-hot input has no more drives than it has features: they are computed once each, and looked up.
        networks, features = len(inputs), self.cell.input_size
        like = next(iter(weights.values()))
        codes = torch.eye(features, dtype=like.dtype, device=like.device).expand(networks, -1, -1)
        first = torch.arange(0, networks * features, features, device=inputs.device).view(-1, 1, 1)
        return functional.embedding(inputs + first, self.cell.drive(weights, codes).flatten(0, 1))

    def release(self) -> None:  # noqa: B027 - most ways keep nothing
        """Free the memory that is kept between mini-batches."""


ways: Registry[Way] = Registry("way", "aelle_core.training.ways")


def check_way(name: str, cell: Cell, device: torch.device, loss: type[Loss] = CrossEntropy) -> type[Way]:
    """Return the registered way `name`. Raises UserError when it is unknown, or cannot train packs of `cell` with that
    loss on the device."""
    kind = ways[name]
    if (obstacle := _obstacle(kind, cell, device, loss)) is not None:
        known = ", ".join(available_ways(cell, device, loss, rounded=True))
        raise UserError(f"way {name!r} cannot train {cell.name!r} on {device.type}: {obstacle}; expected {known}")
    return kind


def get_way(name: str, cell: Cell, readout: Readout, device: torch.device, loss: type[Loss] = CrossEntropy) -> Way:
    """Return the way `name` for packs of `cell`. Raises UserError where `check_way` does."""
    return check_way(name, cell, device, loss)(cell, readout, device, loss)


def _obstacle(kind: type[Way], cell: Cell, device: torch.device, loss: type[Loss]) -> str | None:
    return kind.obstacle(cell, device) or kind.loss_obstacle(loss)


def available_ways(
    cell: Cell, device: torch.device, loss: type[Loss] = CrossEntropy, *, rounded: bool = False
) -> list[str]:
    """Return the names of the ways that can train packs of `cell` with that loss there; with `rounded` those, too."""
    able = [name for name in ways if _obstacle(ways[name], cell, device, loss) is None]
    return [name for name in able if rounded or not ways[name].rounded]
