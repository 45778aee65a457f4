"""A compiled recurrence along whole sequences, as one function of autograd."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from aelle_core.training.fusion.inputs import multiply, weight_adjoint
from aelle_core.training.fusion.program import Program
from aelle_core.training.fusion.recurrence import Recurrence
from aelle_core.training.fusion.sequences import Sequences
from aelle_core.training.fusion.workspace import Workspace

_WORKSPACES = 4  # shapes that are kept: whole and last mini-batches, and evaluations

_sequences = lru_cache(maxsize=64)(Sequences)


class SequenceFunction:
    """Runs one recurrence on mini-batches; keeps the arrays of the shapes it has seen last."""

    def __init__(self, recurrence: Recurrence, units: int) -> None:
        self.recurrence = recurrence
        self._units = units
        self._workspaces: dict[tuple[object, ...], Workspace] = {}

    def hidden(
        self, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None, cuts: Mapping[int, Tensor]
    ) -> Tensor:
        """The first part of the state after the last step, (networks, rows, units), or after every step, (networks,
        steps, rows, units), of inputs (networks, steps, rows, features) or their codes (networks, steps, rows), weights
        as the cell prepares them and noise (networks, steps, rows, width). Inputs get no gradient. After the steps that
        `cuts` names none flows back, in the networks (networks,) that it marks there."""
        if torch.is_grad_enabled() and any(each.requires_grad for each in weights.values()):
            return _Function.apply(self, tuple(weights), inputs, noise, cuts, *weights.values())
        workspace = self.workspace(inputs, training=False)
        self.forward(workspace, inputs, weights, noise)
        return self.outputs(workspace)

    def release(self) -> None:
        """Give the arrays back."""
        self._workspaces.clear()

    def workspace(self, inputs: Tensor, training: bool) -> Workspace:
        """The arrays for inputs of this shape."""
        training = training or self.recurrence.every
        networks, steps, rows = inputs.shape[:3]
        features = inputs.shape[3] if inputs.is_floating_point() else None
        key = (networks, steps, rows, features, training, torch.get_num_threads())
        workspace = self._workspaces.pop(key, None)
        if workspace is None:
            if len(self._workspaces) == _WORKSPACES:
                self._workspaces.pop(next(iter(self._workspaces)))
            sequences = _sequences(self.recurrence, self._units, features)
            workspace = Workspace(sequences, (networks, steps, rows), training, torch.get_num_threads())
        self._workspaces[key] = workspace
        return workspace

    def outputs(self, workspace: Workspace) -> Tensor:
        """A copy of what is read out: the workspace will be used again."""
        part = next(iter(self.recurrence.step.outputs))
        if self.recurrence.every:
            return workspace.whole(f"new {part}").clone()
        return workspace.slot(f"new {part}", workspace.steps - 1).clone()

    def forward(
        self, workspace: Workspace, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None
    ) -> None:
        """All steps, from a state of zeros."""
        step = self.recurrence.step
        given = {f"weight {name}": value.unsqueeze(1) for name, value in weights.items() if value.shape[1] == 1}
        if noise is not None:
            given["noise"] = noise
        right = weights[step.input_weight]
        right = right.mT.contiguous() if step.input_transposed else right.contiguous()
        if inputs.is_floating_point():
            given |= {"inputs": inputs, "matrix inputs": right.unsqueeze(1)}
        else:
            multiply(inputs, right, out=workspace.whole("drive").flatten(1, 2))
        compiled = self.recurrence.training if workspace.training else self.recurrence.forward
        workspace.give(given | _matrices(compiled, weights))
        for part in step.outputs:
            workspace.slot(f"state {part}", 0).zero_()
        sequences = workspace.sequences
        workspace.run(sequences.training if workspace.training else sequences.forward)
        workspace.uses += 1

    def backward(
        self,
        workspace: Workspace,
        inputs: Tensor,
        weights: Mapping[str, Tensor],
        gradient: Tensor,
        wanted: set[str],
        cuts: Mapping[int, Tensor],
    ) -> dict[str, Tensor]:
        """From the adjoint of the outputs those of the wanted weights."""
        recurrence, sequence = self.recurrence, workspace.sequences.backward
        step = recurrence.step
        results = {name: torch.zeros(workspace.networks, 1, *sizes) for name, sizes in sequence.results.items()}
        outputs = {"d output": gradient} if recurrence.every else {"outputs' adjoint": gradient.unsqueeze(1)}
        workspace.give(results | outputs | {"cuts": _marks(cuts, workspace)} | _matrices(recurrence.backward, weights))
        workspace.run(sequence)
        found: dict[str, Tensor] = {}
        if step.input_weight in wanted:
            if inputs.is_floating_point():
                share = results["gradient inputs"].squeeze(1)
            else:
                axis = 2 if step.input_transposed else 1
                drive = workspace.whole("d drive").flatten(1, 2)
                share = weight_adjoint(inputs, drive, weights[step.input_weight].shape[axis])
            found[step.input_weight] = share.mT if step.input_transposed else share
        for product in recurrence.training.multiplications:
            if product.weight in wanted:
                share = results[f"gradient {product.number}"].squeeze(1)
                found[product.weight] = found[product.weight] + share if product.weight in found else share
        for name in recurrence.weights:
            total = results["total drive" if name in recurrence.like_drive else f"total {name}"].squeeze(1)
            total = total if step.weights[name] else total.sum(dim=2, keepdim=True)
            found[name] = found[name] + total if name in found else total
        return found


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        function: SequenceFunction,
        names: tuple[str, ...],
        inputs: Tensor,
        noise: Tensor | None,
        cuts: Mapping[int, Tensor],
        *tensors: Tensor,
    ) -> Tensor:
        workspace = function.workspace(inputs, training=True)
        function.forward(workspace, inputs, dict(zip(names, tensors, strict=True)), noise)
        # The noise as well: the workspace knows no more than where it lies.
        ctx.save_for_backward(inputs, *tensors, *([] if noise is None else [noise]))
        ctx.function, ctx.names, ctx.cuts, ctx.workspace, ctx.use = function, names, cuts, workspace, workspace.uses
        return function.outputs(workspace)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if ctx.use != ctx.workspace.uses:
            raise RuntimeError("the backward pass of an older mini-batch: a newer one has taken its arrays")
        inputs, *tensors = ctx.saved_tensors
        weights = dict(zip(ctx.names, tensors, strict=False))
        wanted = {name for name, needed in zip(ctx.names, ctx.needs_input_grad[5:], strict=True) if needed}
        found = ctx.function.backward(ctx.workspace, inputs, weights, gradients[0].contiguous(), wanted, ctx.cuts)
        return None, None, None, None, None, *(found.get(name) if name in wanted else None for name in ctx.names)


def _marks(cuts: Mapping[int, Tensor], workspace: Workspace) -> Tensor:
    """1 where a network is cut after a step, (networks, steps, 1, 1)."""
    marks = torch.zeros(workspace.networks, workspace.steps, 1, 1)
    for step, networks in cuts.items():
        marks[networks, step] = 1.0
    return marks


def _matrices(program: Program, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The right sides of a program's products, (networks, 1, inner, columns)."""
    found = {}
    for each in program.multiplications:
        weight = weights[each.weight]
        weight = weight.mT.contiguous() if each.transposed else weight.contiguous()
        found[f"matrix {each.number}"] = weight.unsqueeze(1)
    return found
