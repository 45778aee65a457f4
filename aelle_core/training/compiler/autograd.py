"""A compiled recurrence with its readout: scores' hidden states, and losses as one function of autograd."""

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from aelle_core.tasks.examples import beyond
from aelle_core.tasks.losses import Loss
from aelle_core.training.compiler.passes import Sequences
from aelle_core.training.compiler.recurrence import Recurrence
from aelle_core.training.compiler.schedule import Program
from aelle_core.training.compiler.workspace import Workspace
from aelle_core.training.mini_batches import MiniBatch

_WORKSPACES = 4  # shapes that are kept: whole and last mini-batches, and evaluations
_READOUT = ("readout_weight", "readout_bias")

_sequences = lru_cache(maxsize=256)(Sequences)
_compiling = threading.Lock()  # threads share what is compiled: the first to come makes it


class SequenceFunction:
    """Runs one recurrence on mini-batches; keeps the arrays of the shapes it has seen last."""

    def __init__(self, recurrence: Recurrence, units: int, loss: type[Loss]) -> None:
        self.recurrence = recurrence
        self._units = units
        self._loss = loss
        self._workspaces: dict[tuple[object, ...], Workspace] = {}

    def hidden(self, batch: MiniBatch, weights: Mapping[str, Tensor]) -> Tensor:
        """Return the first part of the state after the last step, (networks, rows, units), or after every step,
        (networks, steps, rows, units), from weights as the cell prepares them; without gradients."""
        workspace = self._workspace(batch.inputs, weights)
        workspace.give(self._given(self.recurrence.forward, batch, weights))
        for part in self.recurrence.step.outputs:
            workspace.slot(f"state {part}", 0).zero_()
        with _compiling:
            forward = workspace.sequences.forward
        workspace.run(forward)
        read_out = workspace.sequences.read_out
        # A copy: the workspace will be used again.
        if self.recurrence.every:
            return workspace.whole(read_out).clone()
        return workspace.slot(read_out, workspace.steps - 1).clone()

    def losses(
        self, batch: MiniBatch, targets: Tensor, weights: Mapping[str, Tensor], readout: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the mean losses (networks,) against targets (networks, rows), or (networks, steps * rows) where every
        step is read out, with a further dimension where they are real numbers; autograd can differentiate them by the
        cell's prepared weights and the `readout_weight` (networks, outputs, units) and `readout_bias` (networks,
        outputs) in `readout`."""
        tensors = {**weights, **{name: readout[name] for name in _READOUT}}
        return _Losses.apply(self, batch, targets, tuple(tensors), *tensors.values())

    def release(self) -> None:
        """Free the arrays."""
        self._workspaces.clear()

    def gradient(
        self, batch: MiniBatch, targets: Tensor, weights: Mapping[str, Tensor], readout: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean losses (networks,), and their adjoints of weights and readout, by name."""
        weight, bias = (readout[name] for name in _READOUT)
        outputs = weight.shape[1]
        workspace = self._workspace(batch.inputs, weights, outputs)
        networks, steps, rows = workspace.networks, workspace.steps, workspace.rows
        times = steps if self.recurrence.every else 1
        with _compiling:
            sequence = workspace.sequences.gradient
        results = {name: torch.zeros(networks, 1, *sizes) for name, sizes in sequence.results.items()}
        losses = torch.zeros(networks, 1, 1, 1)
        if self._loss.classes:
            wanted = {"classes": _numbers(targets, outputs, "target").view(networks, times, rows, 1)}
        else:
            wanted = {"targets": targets.view(networks, times, rows, outputs)}
        workspace.give(
            self._given(self.recurrence.training, batch, weights)
            | results
            | wanted
            | _matrices(self.recurrence.backward, weights, "matrix back")
            | {
                "matrix readout": weight.mT.contiguous().unsqueeze(1),
                "matrix readout back": weight.contiguous().unsqueeze(1),
                "readout bias": bias.unsqueeze(1).unsqueeze(1),
                "share": _shares(batch.weights, networks, times, rows),
                "total loss": losses,
                "cuts": _marks(batch.cuts, networks, steps),
            }
        )
        workspace.run(sequence)
        gradients = self._adjoints({key: result.squeeze(1) for key, result in results.items()})
        gradients |= dict(
            zip(_READOUT, (results["gradient readout"][:, 0], results["total readout bias"][:, 0, 0]), strict=True)
        )
        return losses.flatten(), gradients

    def _workspace(self, inputs: Tensor, weights: Mapping[str, Tensor], outputs: int | None = None) -> Workspace:
        """Return the arrays for inputs of this shape, and, where there are `outputs`, for training."""
        networks, steps, rows = inputs.shape[:3]
        coded = not inputs.is_floating_point()
        key = (networks, steps, rows, coded, outputs)
        workspace = self._workspaces.pop(key, None)
        if workspace is None:
            if len(self._workspaces) == _WORKSPACES:
                self._workspaces.pop(next(iter(self._workspaces)))
            step = self.recurrence.step
            features = weights[step.input_weight].shape[2 if step.input_transposed else 1]
            with _compiling:
                sequences = _sequences(self.recurrence, self._units, features, coded, outputs or 0, self._loss.name)
            workspace = Workspace(sequences, (networks, steps, rows), training=outputs is not None)
        self._workspaces[key] = workspace
        return workspace

    def _given(self, program: Program, batch: MiniBatch, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a pass forward reads."""
        step = self.recurrence.step
        given = {f"weight {name}": value.unsqueeze(1) for name, value in weights.items() if value.shape[1] == 1}
        if batch.noise is not None:
            given["noise"] = batch.noise
        right = weights[step.input_weight]
        right = right.mT.contiguous() if step.input_transposed else right.contiguous()
        given["matrix inputs"] = right.unsqueeze(1)
        if batch.inputs.is_floating_point():
            given["given inputs"] = batch.inputs
        else:
            given["codes"] = _numbers(batch.inputs, right.shape[1], "code").unsqueeze(3)
        return given | _matrices(program, weights, "matrix")

    def _adjoints(self, results: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of the prepared weights, from a sequence's sums."""
        recurrence, step = self.recurrence, self.recurrence.step
        share = results["gradient inputs"]
        gradients = {step.input_weight: share.mT if step.input_transposed else share}
        for product in recurrence.training.multiplications:
            share = results[f"gradient {product.number}"]
            gradients[product.weight] = gradients[product.weight] + share if product.weight in gradients else share
        for name in recurrence.weights:
            total = results["total drive" if name in recurrence.like_drive else f"total {name}"]
            total = total if step.weights[name] else total.sum(dim=2, keepdim=True)
            gradients[name] = gradients[name] + total if name in gradients else total
        return gradients


class _Losses(torch.autograd.Function):
    """The gradient is there when the losses are: both come from the same pass over each tile."""

    @staticmethod
    def forward(
        ctx: Any,
        function: SequenceFunction,
        batch: MiniBatch,
        targets: Tensor,
        names: tuple[str, ...],
        *tensors: Tensor,
    ) -> Tensor:
        given = dict(zip(names, tensors, strict=True))
        readout = {name: given.pop(name) for name in _READOUT}
        losses, gradients = function.gradient(batch, targets, given, readout)
        ctx.parameter_gradients = [gradients.get(name) for name in names]
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (by_network,) = gradients
        shaped = [
            None if gradient is None or not needed else gradient * by_network.view(-1, *[1] * (gradient.dim() - 1))
            for gradient, needed in zip(ctx.parameter_gradients, ctx.needs_input_grad[4:], strict=True)
        ]
        return None, None, None, None, *shaped


def _numbers(given: Tensor, count: int, what: str) -> Tensor:
    """As compiled code reads them. Raises IndexError where one is not below `count`: it would reach beyond an array."""
    if (wrong := beyond(given, count)) is not None:
        raise IndexError(f"{what} {wrong}: expected 0 to {count - 1}")
    return given.to(torch.int32)


def _shares(weights: Tensor | None, networks: int, times: int, rows: int) -> Tensor:
    """Return how much each row counts: 1 by their number, or its part of the weights (networks, times * rows)."""
    if weights is None:
        return torch.full((networks, 1, 1, 1), 1 / (times * rows))
    return (weights / weights.sum(dim=1, keepdim=True)).view(networks, times, rows, 1)


def _marks(cuts: Mapping[int, Tensor], networks: int, steps: int) -> Tensor:
    """1 where a network is cut after a step, (networks, steps, 1, 1)."""
    marks = torch.zeros(networks, steps, 1, 1)
    for step, chosen in cuts.items():
        marks[chosen, step] = 1.0
    return marks


def _matrices(program: Program, weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the right sides of a program's products, (networks, 1, inner, columns)."""
    matrices = {}
    for product in program.multiplications:
        weight = weights[product.weight]
        weight = weight.mT.contiguous() if product.transposed else weight.contiguous()
        matrices[f"{name} {product.number}"] = weight.unsqueeze(1)
    return matrices
