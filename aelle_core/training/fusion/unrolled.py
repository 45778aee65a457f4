"""A compiled recurrence along whole sequences, as one function of autograd."""

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aelle_core.training.fusion.adjoint import is_state
from aelle_core.training.fusion.inputs import multiply, weight_adjoint
from aelle_core.training.fusion.program import Place
from aelle_core.training.fusion.recurrence import Recurrence
from aelle_core.training.fusion.workspace import Workspace

_WORKSPACES = 4  # shapes that are kept: whole and last mini-batches, and evaluations


class Unrolled:
    """Runs one recurrence on mini-batches; keeps the arrays of the shapes it has seen last."""

    def __init__(self, recurrence: Recurrence, units: int) -> None:
        self.recurrence = recurrence
        self._units = units
        self._workspaces: dict[tuple[int, int, int, bool], Workspace] = {}

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
        networks, steps, rows = inputs.shape[:3]
        training = training or self.recurrence.every
        key = (networks, steps, rows, training)
        workspace = self._workspaces.pop(key, None)
        if workspace is None:
            if len(self._workspaces) == _WORKSPACES:
                self._workspaces.pop(next(iter(self._workspaces)))
            workspace = Workspace(self.recurrence, networks, steps, rows, self._units, training)
        self._workspaces[key] = workspace
        return workspace

    def outputs(self, workspace: Workspace) -> Tensor:
        """A copy of what is read out: the workspace will be used again."""
        part = next(iter(self.recurrence.step.outputs))
        if not self.recurrence.every:
            return workspace.slot(f"new {part}", workspace.steps - 1).clone()
        states = workspace.whole(Place(f"new {part}", 0), 1)
        return states.unflatten(1, (workspace.steps, -1)).clone()

    def forward(
        self, workspace: Workspace, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None
    ) -> None:
        """All steps, from a state of zeros."""
        given = {f"weight {name}": value.unsqueeze(1) for name, value in weights.items() if value.shape[1] == 1}
        if noise is not None:
            given["noise"] = noise
        workspace.give(given)
        step = self.recurrence.step
        weight = weights[step.input_weight]
        right = weight.mT.contiguous() if step.input_transposed else weight
        drive = workspace.whole(Place("drive", 0), step.drive_columns)
        multiply(inputs, right, out=drive)
        for part in step.outputs:
            workspace.slot(f"state {part}", 0).zero_()
        program = self.recurrence.training if workspace.training else self.recurrence.forward
        turned = {
            each.number: weights[each.weight].mT.contiguous() if each.transposed else weights[each.weight]
            for each in program.program.multiplications
        }
        at_rest = [each for each, product in enumerate(step.products) if is_state(product.operand)]
        for time in range(workspace.steps):
            workspace.run(program, time, turned, skip=at_rest if time == 0 else ())
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
        recurrence, last = self.recurrence, workspace.steps - 1
        first = True
        for arrivals in recurrence.arrivals.values():
            for array in arrivals:
                workspace.slot(array, last).zero_()
            if first and not recurrence.every:
                workspace.slot(arrivals[0], last).copy_(gradient)
            first = False
        if recurrence.every:
            workspace.give({"d output": gradient})
        program = recurrence.backward
        turned = {
            each.number: weights[each.weight].mT.contiguous() if each.transposed else weights[each.weight]
            for each in program.program.multiplications
        }
        at_rest = [each for each, product in enumerate(recurrence.step.products) if is_state(product.operand)]
        for step in range(last, -1, -1):
            if step in cuts:
                for array in itertools.chain.from_iterable(recurrence.arrivals.values()):
                    workspace.slot(array, step)[cuts[step]] = 0
            workspace.run(program, step, turned, skip=at_rest if step == 0 else ())
        d_drive = workspace.whole(Place("d drive", 0), recurrence.step.drive_columns)
        found: dict[str, Tensor] = {}
        if recurrence.step.input_weight in wanted:
            axis = 2 if recurrence.step.input_transposed else 1
            # The narrower factor first: with few features the other order takes half as long again.
            share = weight_adjoint(inputs, d_drive, weights[recurrence.step.input_weight].shape[axis])
            found[recurrence.step.input_weight] = share.mT if recurrence.step.input_transposed else share
        forward, back = recurrence.training.program.multiplications, program.program.multiplications
        for product, adjoint in zip(forward, back, strict=True):
            if product.weight not in wanted:
                continue
            start = 1 if product.number in at_rest else 0  # a state of zeros adds nothing
            operand = workspace.whole(product.operand, product.columns, start)
            result = workspace.whole(adjoint.operand, adjoint.columns, start)
            share = torch.bmm(result.mT, operand) if product.transposed else torch.bmm(operand.mT, result)
            found[product.weight] = found[product.weight] + share if product.weight in found else share
        for name in recurrence.weights:
            columns = recurrence.step.weights[name]
            like_drive = name in recurrence.like_drive
            whole = d_drive if like_drive else workspace.whole(Place(f"d weight {name}", 0), max(1, columns))
            total = whole.sum(dim=1, keepdim=True)
            total = total if columns else total.sum(dim=2, keepdim=True)
            found[name] = found[name] + total if name in found else total
        return found


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        unrolled: Unrolled,
        names: tuple[str, ...],
        inputs: Tensor,
        noise: Tensor | None,
        cuts: Mapping[int, Tensor],
        *tensors: Tensor,
    ) -> Tensor:
        workspace = unrolled.workspace(inputs, training=True)
        unrolled.forward(workspace, inputs, dict(zip(names, tensors, strict=True)), noise)
        # The noise as well: the workspace knows no more than where it lies.
        ctx.save_for_backward(inputs, *tensors, *([] if noise is None else [noise]))
        ctx.unrolled, ctx.names, ctx.cuts, ctx.workspace, ctx.use = unrolled, names, cuts, workspace, workspace.uses
        return unrolled.outputs(workspace)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if ctx.use != ctx.workspace.uses:
            raise RuntimeError("the backward pass of an older mini-batch: a newer one has taken its arrays")
        inputs, *tensors = ctx.saved_tensors
        weights = dict(zip(ctx.names, tensors, strict=False))
        wanted = {name for name, needed in zip(ctx.names, ctx.needs_input_grad[5:], strict=True) if needed}
        found = ctx.unrolled.backward(ctx.workspace, inputs, weights, gradients[0].contiguous(), wanted, ctx.cuts)
        return None, None, None, None, None, *(found.get(name) if name in wanted else None for name in ctx.names)
