"""Sparse teacher forcing: networks that read the data at every tau-th step, and their own output between."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.cells.base import State
from aelle_core.cells.blocks import Blocks
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.tasks.losses import Loss
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import Way, get_way

_FED = "fed"
_WEIGHT, _BIAS, _RESIDUAL = "fed readout_weight", "fed readout_bias", "residual"


class FedCell(Cell):
    """A cell together with its readout, as one recurrence that can read its own output:

        u_t = m_t x_t + (1 - m_t) y_{t-1}     what the cell reads
        h_t = cell(u_t, h_{t-1})
        y_t = V h_t + c + residual u_t        the output, which is the first part of the state

    m_t is 1 at steps in which the data are read and 0 at others. Inputs are (x_t, m_t): a feature more than the cell's.
    The output takes the place of a state part, so that it is padded with zeros to `units` numbers: the cell needs at
    least as many units as the system has features. Because it is a cell, the ways of training run it and differentiate
    it as they do any other.
    """

    kind: ClassVar[type[Cell]]
    features: ClassVar[int]

    def __init__(self, input_size: int, units: int) -> None:
        super().__init__(input_size, units)
        self.cell = self.kind(self.features, units)
        self._wide = self.kind(units, units)  # reads padded inputs

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return self.cell.parameter_shapes() | {_WEIGHT: (self.features, self.units), _BIAS: (self.features,)}

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        padded = {
            name: _padded(parameters[name], shape) if parameters[name].shape[1:] != shape else parameters[name]
            for name, shape in self._wide.parameter_shapes().items()
        }
        weight, bias = parameters[_WEIGHT], parameters[_BIAS]
        like = weight.detach()
        entry = like.new_zeros(self.features + 1, 2 * self.units)  # x_t to the first units, m_t to all others
        entry[: self.features, : self.features] = torch.eye(self.features, dtype=like.dtype, device=like.device)
        entry[-1, self.units :] = 1
        return {
            **self._wide.prepare(padded, constants),
            "fed entry": entry.expand(len(weight), -1, -1),
            "fed out": _padded(weight, (self.units, self.units)).mT.contiguous(),
            "fed bias": functional.pad(bias, (0, self.units - self.features)).unsqueeze(1),
            "fed residual": constants[_RESIDUAL],
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.bmm(inputs, weights["fed entry"])

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        given, forced = drive[..., : self.units], drive[..., self.units :]
        read = forced * given + (1 - forced) * state[_FED]
        own = {part: state[part] for part in self.cell.parts}
        new = self._wide.step(weights, self._wide.drive(weights, read), own, noise)
        out = torch.baddbmm(weights["fed bias"], new[self.cell.parts[0]], weights["fed out"])
        return {_FED: out + weights["fed residual"] * read, **new}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        raise NotImplementedError("a fed cell is only trained; ClosedLoop has the Jacobian of a free run")


def _padded(weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (networks, ...) with zeros behind, in the given shape without the networks."""
    missing = [wanted - held for wanted, held in zip(shape, weight.shape[1:], strict=True)]
    return functional.pad(weight, [side for count in reversed(missing) for side in (0, count)])


@cache
def _fed(kind: type[Cell], features: int) -> type[FedCell]:
    held: dict[str, Any] = {
        "kind": kind,
        "features": features,
        "parts": (_FED, *kind.parts),
        "defaults": {**kind.defaults, _RESIDUAL: 0.0},
        "noise_channels": kind.noise_channels,
        "name": f"{kind.name} fed",
    }
    return type("Fed" + kind.__name__, (FedCell,), held)


class SparselyForced(Way):
    """A way whose losses are of networks that read their own output, and whose evaluations are the way's own.

    `losses` takes inputs with a further feature: 1 at steps that read the data, 0 at others; targets are the data one
    step later, and `constants` hold `residual`. Where the way takes a sequence in one call of another library
    ("fused"), losses are computed step by step as "packed" does. Raises UserError where the cell has fewer units than
    the data have features.
    """

    def __init__(self, plain: Way, loss: type[Loss]) -> None:
        super().__init__(plain.cell, plain.readout, plain.device, loss)
        cell = plain.cell
        if cell.units < cell.input_size:
            raise UserError(
                f"forcing: {cell.name!r} has {counted(cell.units, 'unit')} and reads "
                f"{counted(cell.input_size, 'feature')}: expected at least as many units"
            )
        self.name, self.rounded, self.own_threads = plain.name, plain.rounded, plain.own_threads  # type: ignore[misc]
        self._plain = plain
        way = "packed" if plain.name == "fused" else plain.name
        fed = _fed(type(cell), cell.input_size)(cell.input_size + 1, cell.units)
        self._fed = get_way(way, fed, "every", plain.device, loss)

    @classmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        return None

    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        return self._plain.hidden(parameters, constants, batch)

    def losses(
        self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch, targets: Tensor
    ) -> Tensor:
        weight, bias = parameters["readout_weight"], parameters["readout_bias"]
        first = torch.eye(*weight.shape[1:], dtype=weight.dtype, device=weight.device).expand_as(weight)
        given = {
            **parameters,
            _WEIGHT: weight,
            _BIAS: bias,
            "readout_weight": first.contiguous(),  # the output is a part of the state already
            "readout_bias": torch.zeros_like(bias),
        }
        return self._fed.losses(given, constants, batch, targets)

    def arithmetic(self) -> Any:
        return self._fed.arithmetic()

    def release(self) -> None:
        self._plain.release()
        self._fed.release()


def forced_steps(intervals: Tensor, steps: int) -> Tensor:
    """Return which steps of a window read the data, (networks, steps): 1 at every `intervals`-th (networks,), from the
    first step on, 0 at others."""
    return (torch.arange(steps, device=intervals.device) % intervals.unsqueeze(1) == 0).float()
