"""The cell's step taken apart, differentiated, and compiled with the products and the loop over time."""

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aelle_core.cells import Cell
from aelle_core.tasks.losses import CrossEntropy, Loss
from aelle_core.training.compiler.trace import NotTraceableError, TracedStep, trace_step
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways.base import Readout, Way, ways

if TYPE_CHECKING:
    from aelle_core.training.compiler.recurrence import Recurrence


@ways.register("compiled")
class Compiled(Way):
    """Some rows of one network go through all steps, the readout, and back, while they lie in the cache; on the way
    back the gradients of the weights are added up step by step. Each thread has networks of its own, all the way from
    inputs to Adam. See aelle_core.training.compiler."""

    own_threads = True

    def __init__(self, cell: Cell, readout: Readout, device: torch.device, loss: type[Loss] = CrossEntropy) -> None:
        super().__init__(cell, readout, device, loss)
        from aelle_core.training.compiler.autograd import SequenceFunction

        step, trained = _traced(type(cell), cell.input_size, cell.units)
        self._function = SequenceFunction(_taken_apart(step, trained, readout == "every"), cell.units, loss)

    @classmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        if device.type != "cpu":
            return "its loops are compiled for the CPU"
        if importlib.util.find_spec("numba") is None:
            return "numba, which compiles its loops, is not installed"
        try:
            _traced(type(cell), cell.input_size, cell.units)
        except NotTraceableError as error:
            return f"its step does what is not compiled here ({error})"
        return None

    @classmethod
    def loss_obstacle(cls, loss: type[Loss]) -> str | None:
        from aelle_core.training.compiler.operations import COMPARISONS

        return None if loss.name in COMPARISONS else f"its loss {loss.name!r} is not compiled here"

    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        """Return hidden states as every way does, (networks, batch, units) or (networks, time, batch, units), without
        gradients, which come with the losses."""
        with torch.no_grad():
            weights = self.cell.prepare(parameters, constants)
        return self._function.hidden(self._with_noise(batch), weights)

    def losses(
        self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch, targets: Tensor
    ) -> Tensor:
        weights = self.cell.prepare(parameters, constants)
        return self._function.losses(self._with_noise(batch), targets, weights, parameters)

    def _with_noise(self, batch: MiniBatch) -> MiniBatch:
        """Without noise (an evaluation) a cell that trains under it takes noise of zero, which changes nothing."""
        if batch.noise is None and self.cell.noise_channels:
            noise = torch.zeros(1, 1, 1, self.cell.noise_channels * self.cell.units)
            return replace(batch, noise=noise.expand(len(batch.inputs), 1, -1, -1))
        return batch

    def release(self) -> None:
        self._function.release()


@lru_cache(maxsize=256)
def _traced(kind: type[Cell], input_size: int, units: int) -> tuple[TracedStep, frozenset[str]]:
    """Return the step of a kind of cell, and the prepared weights that its parameters flow into."""
    cell = kind(input_size, units)
    parameters = {key: torch.zeros(2, *shape, requires_grad=True) for key, shape in cell.parameter_shapes().items()}
    constants = {key: torch.full((2, 1, 1), value) for key, value in cell.defaults.items()}
    weights = cell.prepare(parameters, constants)
    trained = frozenset(key for key, value in weights.items() if value.requires_grad)
    return trace_step(cell, {key: value.detach() for key, value in weights.items()}), trained


@lru_cache(maxsize=256)
def _taken_apart(step: TracedStep, trained: frozenset[str], every: bool) -> "Recurrence":
    from aelle_core.training.compiler.recurrence import Recurrence

    return Recurrence(step, trained, every)
