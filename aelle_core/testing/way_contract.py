"""The contract of ways of training: losses and gradients of the cell's own step under autograd in float64."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aelle_core.cells import Cell
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Classification, Examples, Splits, Supervised
from aelle_core.testing.contract import require_close
from aelle_core.training import NetworkSettings, PackTrainer
from aelle_core.training.gradient.truncation import cuts
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import Way, get_way

CPU = torch.device("cpu")
SETTINGS = [NetworkSettings(seed, 0.2 + 0.1 * seed, 2e-3 * (seed + 1), clip=0.1 + seed) for seed in range(3)]
"""Three networks whose constants and scales differ: a way that mixes its networks up is found out."""


class Parity(Classification):
    """Is the sum of a random sequence above zero: after the last step."""

    name = "parity"
    classes = 2
    input_size = 4
    steps = 9

    def load(self) -> Splits:
        inputs = torch.randn(100, self.steps, self.input_size, generator=generator(self.seed, "parity"))
        sums = (inputs.sum(dim=2).cumsum(dim=1) > 0).long()
        targets = sums if self.readout == "every" else sums[:, -1]
        parts = [Examples(inputs[part], targets[part]) for part in (slice(0, 70), slice(70, 85), slice(85, 100))]
        return Splits(*parts)


class ParityAlways(Parity):
    """The same, so far, after every step."""

    readout = "every"


def way_of(pack: PackTrainer, way: str) -> Way:
    """Return the way `way` for what a trainer trains."""
    return get_way(way, pack.cell, pack.task.read_out_after, CPU, pack.task.loss_kind)


def drawn_targets(pack: PackTrainer, rows: int, seed: int) -> Tensor:
    """Return targets for `rows` sequences of three networks, or for every step of them, one after the other: classes
    (3, rows) or numbers (3, rows, outputs)."""
    count = pack.task.steps * rows if pack.task.read_out_after == "every" else rows
    source = generator(seed, "targets")
    if pack.task.loss_kind.classes:
        return torch.randint(0, pack.task.outputs, (3, count), generator=source)
    return torch.randn(3, count, pack.task.outputs, generator=source)


def drawn_weights(pack: PackTrainer, rows: int, seed: int) -> Tensor | None:
    """Return which steps of `rows` sequences count, (3, steps * rows), where the task's differ in length: those up to a
    last one."""
    if not pack.task.ragged:
        return None
    steps = pack.task.steps
    ends = torch.randint(0, steps, (3, 1, rows), generator=generator(seed, "lengths"))
    return (torch.arange(steps).view(1, -1, 1) <= ends).float().flatten(1)


def check_way(
    way: str,
    kind: type[Cell],
    task: Supervised | None = None,
    truncations: Sequence[int | None] = (None, None, None),
) -> None:
    """Compare a way of training, for one cell, with the losses and gradients of autograd in float64.

    37 sequences are more than one tile; each network's loss has another weight; it is done twice, since memory is used
    again. Raises ContractError, naming the parameter whose gradient differs.
    """
    task = task or Parity()
    cell, steps = kind(task.input_size, 19), task.steps
    pack = PackTrainer(cell, task, SETTINGS, batch_size=32, way=way)
    stops, weights = cuts(truncations, steps), torch.tensor([1.0, -2.0, 0.5])
    own_way, reference = (way_of(pack, name) for name in (way, "packed"))
    for seed in (0, 1):
        inputs = torch.randn(3, steps, 37, task.input_size, generator=generator(seed, "inputs"))
        noise = None
        if cell.noise_channels:
            noise = torch.randn(3, steps, 37, cell.units * cell.noise_channels, generator=generator(seed, "noise"))
        targets, counted = drawn_targets(pack, 37, seed), drawn_weights(pack, 37, seed)
        losses = own_way.losses(pack.parameters, pack.constants, MiniBatch(inputs, noise, stops, counted), targets)
        computed = torch.autograd.grad((losses * weights).sum(), list(pack.parameters.values()))
        double = {key: value.detach().double().requires_grad_() for key, value in pack.parameters.items()}
        constants = {key: value.double() for key, value in pack.constants.items()}
        wide, whole = (None if values is None else values.double() for values in (noise, counted))
        exact = targets.double() if targets.is_floating_point() else targets
        expected = reference.losses(double, constants, MiniBatch(inputs.double(), wide, stops, whole), exact)
        sentence = f"way {way!r}: losses of {cell!r} are not those of its step"
        require_close(losses.double(), expected, sentence, rtol=1e-6, atol=1e-6)
        gradients = torch.autograd.grad((expected * weights).sum(), list(double.values()))
        for key, own, wanted in zip(double, computed, gradients, strict=True):
            scale = max(wanted.abs().amax().item(), 1e-6)  # one step back, the weights of the state may get none
            sentence = f"way {way!r}: the gradient of {key} of {cell!r} is not that of its step"
            require_close(own.double(), wanted, sentence, rtol=1e-5, atol=5e-6 * scale)
