"""A compiled recurrence along whole sequences, step by step for all networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aelle_core.training.fusion.adjoint import is_state
from aelle_core.training.fusion.function import SequenceFunction
from aelle_core.training.fusion.inputs import multiply, weight_adjoint
from aelle_core.training.fusion.program import Place
from aelle_core.training.fusion.workspace import Workspace


class Unrolled(SequenceFunction[Workspace]):
    """All networks take a step together: batched products, then one compiled loop for what is pointwise."""

    def make_workspace(self, inputs: Tensor, training: bool) -> Workspace:
        networks, steps, rows = inputs.shape[:3]
        return Workspace(self.recurrence, networks, steps, rows, self.units, training)

    def outputs(self, workspace: Workspace) -> Tensor:
        part = next(iter(self.recurrence.step.outputs))
        if not self.recurrence.every:
            return workspace.slot(f"new {part}", workspace.steps - 1).clone()
        states = workspace.whole(Place(f"new {part}", 0), 1)
        return states.unflatten(1, (workspace.steps, -1)).clone()

    def forward(
        self, workspace: Workspace, inputs: Tensor, weights: Mapping[str, Tensor], noise: Tensor | None
    ) -> None:
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
        self, workspace: Workspace, inputs: Tensor, weights: Mapping[str, Tensor], gradient: Tensor, wanted: set[str]
    ) -> dict[str, Tensor]:
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
