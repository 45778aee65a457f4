"""Training a pack: networks of one cell and size, side by side on the same task."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.ranges import Range
from aelle_core.streams import generator
from aelle_core.tasks import Classification, Examples
from aelle_core.training.forward import forward
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.trainer import EpochResult, NetworkSettings, Trainer, trainers

_EVALUATION_ROWS = 8192  # networks x sequences evaluated at once: bounds memory


@trainers.register("gradient")
class PackTrainer(Trainer):
    """Networks of one cell trained by Adam on the mini-batches of a task, each as if it were alone.

    Each network draws its weights, its order of examples and its noise from its own seed, so that what it becomes
    does not depend on its neighbours.
    """

    ranges: ClassVar[Mapping[str, Range]] = {"learning_rate": Range(2e-3, 1e-2), "clip": Range(1.0, 1.0)}

    def __init__(
        self,
        cell: Cell,
        task: Classification,
        settings: Sequence[NetworkSettings],
        *,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(cell, task, settings, batch_size=batch_size, device=device)
        self.task = task
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
        self._training = task.splits.training.to(self.device)

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
        return Network(self.cell, self.parameters, self.constants)

    def scores(self, inputs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Class scores (networks, batch, classes) after the last step of inputs (networks, batch, time, features)."""
        weights = self.cell.prepare(self.parameters, self.constants)
        hidden = forward(self.cell, weights, inputs, noise)
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
            losses = self.task.loss(self.scores(self._training.inputs[chosen], noise), self._training.targets[chosen])
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
            inputs = examples.inputs[start : start + rows].to(self.device)
            targets = examples.targets[start : start + rows].to(self.device).expand(networks, -1)
            scores = self.scores(inputs.expand(networks, -1, -1, -1))
            loss += self.task.loss(scores, targets) * targets.shape[1]
            correct += (scores.argmax(dim=-1) == targets).sum(dim=1)
        return (loss / len(examples)).cpu(), (correct / len(examples)).cpu()

    def run(self, epochs: int) -> Iterator[EpochResult]:
        if self.epoch == 0:
            yield self._result(self.evaluate(self.task.splits.training)[0])
        while self.epoch < epochs:
            yield self._result(self.train_epoch().cpu())

    def _result(self, train_loss: Tensor) -> EpochResult:
        validation_loss, accuracy = self.evaluate(self.task.splits.validation)
        alive = self.optimiser.alive.cpu() & validation_loss.isfinite()
        return EpochResult(self.epoch, train_loss, validation_loss, accuracy, alive)

    def test(self) -> tuple[Tensor, Tensor]:
        return self.evaluate(self.task.splits.test)

    def state(self) -> dict[str, Tensor]:
        optimiser = self.optimiser
        return {
            **{f"parameters/{name}": value.detach() for name, value in self.parameters.items()},
            **{f"first/{name}": value for name, value in optimiser.first.items()},
            **{f"second/{name}": value for name, value in optimiser.second.items()},
            "alive": optimiser.alive,
            "adam_steps": torch.tensor(optimiser.steps),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        optimiser = self.optimiser
        for name in self.parameters:
            self.parameters[name].copy_(state[f"parameters/{name}"])
            optimiser.first[name].copy_(state[f"first/{name}"])
            optimiser.second[name].copy_(state[f"second/{name}"])
        optimiser.alive.copy_(state["alive"])
        optimiser.steps = int(state["adam_steps"])

    @classmethod
    def size(cls, cell: Cell, task: Classification) -> tuple[int, int]:  # type: ignore[override]
        shapes = [*cell.parameter_shapes().values(), (task.classes, cell.units), (task.classes,)]
        count = sum(math.prod(shape) for shape in shapes)
        return count, 12 * count  # float32 weights and Adam's two moments
