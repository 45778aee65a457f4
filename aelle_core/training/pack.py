"""Training a pack: networks of one cell and size, side by side on the same task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.streams import generator
from aelle_core.tasks import Examples, Task
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.ways import get_way

_EVALUATION_ROWS = 8192  # networks x sequences evaluated at once: bounds memory


@dataclass(frozen=True)
class NetworkSettings:
    """What makes one network differ from its neighbours in a pack.

    `scale` is the p of its initial weights U(-p, p); `clip` the largest norm of its gradient; `constants` overrule
    the defaults in the cell's equation. `seed` starts its own streams for weights, order of examples and noise.
    """

    seed: int
    scale: float
    learning_rate: float
    clip: float = 1.0
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EpochResult:
    """What one epoch left behind, each (networks,) on the CPU: losses in nats, accuracy in [0, 1].

    `train_loss` is the mean over the epoch's mini-batches (before training, epoch 0: over the training set).
    """

    epoch: int
    train_loss: Tensor
    validation_loss: Tensor
    validation_accuracy: Tensor
    alive: Tensor


class PackTrainer:
    """Networks of one cell trained by Adam on the mini-batches of a task, each as if it were alone.

    Each network draws its weights, its order of examples and its noise from its own seed, so that what it becomes
    does not depend on its neighbours. `way` names how losses and gradients are computed (aelle_core.training.ways): a
    matter of speed and rounding. `epoch` is the number of epochs trained so far.
    """

    def __init__(
        self,
        cell: Cell,
        task: Task,
        settings: Sequence[NetworkSettings],
        *,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        way: str = "packed",
    ) -> None:
        self.cell = cell
        self.task = task
        self.settings = list(settings)
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.way = get_way(way, cell, task.readout, self.device)
        self.epoch = 0
        self.parameters = {
            name: value.to(self.device).requires_grad_() for name, value in self._initial_parameters().items()
        }
        constants = [cell.constants(each.constants) for each in self.settings]
        self.constants = {
            name: self._per_network([values[name] for values in constants]).view(-1, 1, 1) for name in cell.defaults
        }
        self.optimiser = PackedAdam(
            self.parameters,
            self._per_network([each.learning_rate for each in self.settings]),
            self._per_network([each.clip for each in self.settings]),
        )
        self._training = _TimeMajor(task.splits.training.to(self.device))

    def _per_network(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _initial_parameters(self) -> dict[str, Tensor]:
        networks = []
        for each in self.settings:
            parameters = self.cell.initialise(generator(each.seed, "weights"), each.scale)
            bound = self.cell.units**-0.5  # torch.nn.Linear's own range, whatever the cell's scale
            readout = generator(each.seed, "readout")
            shapes = {
                "readout_weight": (self.task.classes, self.cell.units),
                "readout_bias": (self.task.classes,),
            }
            for name, shape in shapes.items():
                parameters[name] = torch.empty(shape).uniform_(-bound, bound, generator=readout)
            networks.append(parameters)
        return {name: torch.stack([each[name] for each in networks]) for name in networks[0]}

    def network(self) -> Network:
        """The pack as it is now, for the spectrum: its cell, parameters and constants."""
        return Network(self.cell, self.parameters, self.constants)

    def scores(self, inputs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Class scores for inputs (networks, time, batch, features): (networks, batch, classes) after the last step,
        or, for tasks that are read out at every step, (networks, time * batch, classes)."""
        hidden = self.way.hidden(self.parameters, self.constants, inputs, noise)
        if self.task.readout == "every":
            hidden = hidden.flatten(1, 2)  # all steps in one product
        readout = self.parameters["readout_weight"].mT
        return torch.baddbmm(self.parameters["readout_bias"].unsqueeze(1), hidden, readout)

    def train_epoch(self) -> Tensor:
        """One pass over the training examples, each network in its own order. Returns the mean loss (networks,)."""
        epoch = self.epoch + 1
        orders = torch.stack(
            [
                torch.randperm(len(self._training), generator=generator(each.seed, "order", epoch))
                for each in self.settings
            ]
        ).to(self.device)
        noises = self._noise(epoch, orders.shape[1])
        total = torch.zeros(len(self.settings), device=self.device)
        for chosen, noise in zip(orders.split(self.batch_size, dim=1), noises, strict=True):
            inputs, targets = self._training.take(chosen)
            losses = self.task.loss(self.scores(inputs, noise), targets)
            losses.sum().backward()  # the sum: each network gets the gradient of its own loss
            self.optimiser.step(losses.detach())
            total += losses.detach() * chosen.shape[1]
        self.epoch = epoch
        return total / orders.shape[1]

    def _noise(self, epoch: int, examples: int) -> Iterator[Tensor | None]:
        """For each mini-batch the noise of the cells that train under it, (networks, time, batch, channels)."""
        generators = [generator(each.seed, "noise", epoch) for each in self.settings]
        channels = self.cell.noise_channels * self.cell.units
        for start in range(0, examples, self.batch_size):
            if not channels:
                yield None
                continue
            shape = (self.task.steps, min(self.batch_size, examples - start), channels)
            yield torch.stack([torch.randn(shape, generator=each) for each in generators]).to(self.device)

    @torch.no_grad()
    def evaluate(self, examples: Examples) -> tuple[Tensor, Tensor]:
        """Mean loss in nats and accuracy of every network on `examples`, without noise, (networks,) each."""
        networks = len(self.settings)
        loss = torch.zeros(networks, device=self.device)
        correct = torch.zeros(networks, device=self.device)
        rows = max(1, _EVALUATION_ROWS // networks)
        for start in range(0, len(examples), rows):
            inputs = examples.inputs[start : start + rows].to(self.device).transpose(0, 1).contiguous()
            targets = _time_first(examples.targets[start : start + rows].to(self.device)).flatten().expand(networks, -1)
            scores = self.scores(inputs.expand(networks, -1, -1, -1))
            loss += self.task.loss(scores, targets) * targets.shape[1]
            correct += (scores.argmax(dim=-1) == targets).sum(dim=1)
        count = examples.targets.numel()
        return (loss / count).cpu(), (correct / count).cpu()

    def run(self, epochs: int) -> Iterator[EpochResult]:
        """Train up to `epochs`, yielding after each epoch, and before training when it has not begun."""
        if self.epoch == 0:
            yield self._result(self.evaluate(self.task.splits.training)[0])
        while self.epoch < epochs:
            yield self._result(self.train_epoch().cpu())

    def _result(self, train_loss: Tensor) -> EpochResult:
        validation_loss, accuracy = self.evaluate(self.task.splits.validation)
        alive = self.optimiser.alive.cpu() & validation_loss.isfinite()
        return EpochResult(self.epoch, train_loss, validation_loss, accuracy, alive)


class _TimeMajor:
    """Examples laid out so that a mini-batch comes out as the ways want it: time before batch."""

    def __init__(self, examples: Examples) -> None:
        self._count, self._time, _ = examples.inputs.shape
        self._rows = examples.inputs.transpose(0, 1).flatten(0, 1).contiguous()
        self._targets = _time_first(examples.targets)
        self._steps = torch.arange(self._time, device=self._rows.device).view(1, -1, 1) * self._count

    def __len__(self) -> int:
        return self._count

    def take(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Of the examples (networks, batch): inputs (networks, time, batch, features) and targets (networks, batch),
        or (networks, time * batch) where there is one at every step."""
        places = chosen.unsqueeze(1) + self._steps
        inputs = self._rows.index_select(0, places.flatten()).view(*places.shape, -1)
        if self._targets.dim() == 1:
            return inputs, self._targets[chosen]
        return inputs, self._targets.flatten()[places].flatten(1)


def _time_first(targets: Tensor) -> Tensor:
    """(count,) as it is, (count, time) -> (time, count)."""
    return targets if targets.dim() == 1 else targets.T.contiguous()
