"""A compiled recurrence along whole sequences, as one function of autograd."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from aelle_core.training.fusion.recurrence import Recurrence

_WORKSPACES = 4  # shapes that are kept: whole and last mini-batches, and evaluations


class Arrays(Protocol):
    """What a mini-batch is computed in."""

    uses: int
    """How often the forward pass has overwritten what is in here."""


Kept = TypeVar("Kept", bound=Arrays)


class SequenceFunction(ABC, Generic[Kept]):
    """Runs one recurrence on mini-batches; keeps the arrays of the shapes it has seen last."""

    def __init__(self, recurrence: Recurrence, units: int) -> None:
        self.recurrence = recurrence
        self.units = units
        self._workspaces: dict[tuple[object, ...], Kept] = {}

    def hidden(self, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None) -> Tensor:
        """The first part of the state after the last step, (networks, rows, units), or after every step, (networks,
        steps, rows, units), of inputs (networks, steps, rows, features) or their codes (networks, steps, rows), weights
        as the cell prepares them and noise (networks, steps, rows, width). Inputs get no gradient."""
        if torch.is_grad_enabled() and any(each.requires_grad for each in weights.values()):
            return _Function.apply(self, tuple(weights), inputs, noise, *weights.values())
        workspace = self.workspace(inputs, training=False)
        self.forward(workspace, inputs, weights, noise)
        return self.outputs(workspace)

    def release(self) -> None:
        """Give the arrays back."""
        self._workspaces.clear()

    def workspace(self, inputs: Tensor, training: bool) -> Kept:
        """The arrays for inputs of this shape."""
        training = training or self.recurrence.every
        key = (inputs.shape[:3], inputs.is_floating_point(), training, torch.get_num_threads())
        workspace = self._workspaces.pop(key, None)
        if workspace is None:
            if len(self._workspaces) == _WORKSPACES:
                self._workspaces.pop(next(iter(self._workspaces)))
            workspace = self.make_workspace(inputs, training)
        self._workspaces[key] = workspace
        return workspace

    @abstractmethod
    def make_workspace(self, inputs: Tensor, training: bool) -> Kept:
        """New arrays for inputs of this shape."""

    @abstractmethod
    def outputs(self, workspace: Kept) -> Tensor:
        """A copy of what is read out: the workspace will be used again."""

    @abstractmethod
    def forward(self, workspace: Kept, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None) -> None:
        """All steps, from a state of zeros."""

    @abstractmethod
    def backward(
        self, workspace: Kept, inputs: Tensor, weights: Mapping[str, Tensor], gradient: Tensor, wanted: set[str]
    ) -> dict[str, Tensor]:
        """From the adjoint of the outputs those of the wanted weights."""


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        function: SequenceFunction[Any],
        names: tuple[str, ...],
        inputs: Tensor,
        noise: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        workspace = function.workspace(inputs, training=True)
        function.forward(workspace, inputs, dict(zip(names, tensors, strict=True)), noise)
        # The noise as well: the workspace knows no more than where it lies.
        ctx.save_for_backward(inputs, *tensors, *([] if noise is None else [noise]))
        ctx.function, ctx.names, ctx.workspace, ctx.use = function, names, workspace, workspace.uses
        return function.outputs(workspace)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if ctx.use != ctx.workspace.uses:
            raise RuntimeError("the backward pass of an older mini-batch: a newer one has taken its arrays")
        inputs, *tensors = ctx.saved_tensors
        weights = dict(zip(ctx.names, tensors, strict=False))
        wanted = {name for name, needed in zip(ctx.names, ctx.needs_input_grad[4:], strict=True) if needed}
        found = ctx.function.backward(ctx.workspace, inputs, weights, gradients[0].contiguous(), wanted)
        return None, None, None, None, *(found.get(name) if name in wanted else None for name in ctx.names)
