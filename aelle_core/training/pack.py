"""Training a pack: networks of one cell and size, side by side on the same task."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.cells.initialisers import initialisers
from aelle_core.errors import UserError
from aelle_core.ranges import Choice, Range, WholeRange
from aelle_core.streams import generator
from aelle_core.tasks import Classification, Examples
from aelle_core.training.batches import mini_batch, same_for_all
from aelle_core.training.evaluation import loss_and_accuracy
from aelle_core.training.memory import is_out_of_memory, network_bytes, networks_at_once, sequences_at_once
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.trainer import EpochResult, NetworkSettings, Timing, Trainer, trainers
from aelle_core.training.truncation import cuts
from aelle_core.training.ways import available_ways, check_way, get_way

Result = TypeVar("Result")
Batches = Iterator[tuple[Tensor, Tensor]]


@trainers.register("gradient")
class PackTrainer(Trainer):
    """Networks of one cell trained by Adam on the mini-batches of a task, each as if it were alone.

    Each network draws its weights, its order of examples and its noise from its own seed, so that what it becomes
    does not depend on its neighbours. `way` is one of aelle_core.training.ways.

    No more than `networks_at_once` networks are trained together: `at_once`, or all, as long as they fit into free
    memory; the number is halved when memory runs out all the same. Raises UserError where one alone does not fit.
    """

    ranges: ClassVar[Mapping[str, Range]] = {"learning_rate": Range(2e-3, 1e-2), "clip": Range(1.0, 1.0)}
    optional: ClassVar[Mapping[str, Callable[[object], Range | Choice]]] = {
        "initialiser": lambda value: Choice.parse(value, "initialiser", list(initialisers)),
        "truncation": WholeRange.parse,
    }

    def __init__(
        self,
        cell: Cell,
        task: Classification,
        settings: Sequence[NetworkSettings],
        *,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        way: str = "packed",
        at_once: int | None = None,
    ) -> None:
        super().__init__(cell, task, settings, batch_size=batch_size, device=device, way=way, at_once=at_once)
        self.task = task
        self.way = get_way(way, cell, task.readout, self.device)
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
        fitting = networks_at_once(network_bytes(cell, task, batch_size), self.device)
        self.networks_at_once = min(len(self.settings), fitting, at_once or fitting)

    def _per_network(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _initial_parameters(self) -> dict[str, Tensor]:
        networks = []
        for each in self.settings:
            parameters = self.cell.initialise(generator(each.seed, "weights"), each.scale, each.initialiser)
            bound = self.cell.units**-0.5  # torch.nn.Linear's own range, whatever the cell's scale
            readout = generator(each.seed, "readout")
            shapes = {"readout_weight": (self.task.classes, self.cell.units), "readout_bias": (self.task.classes,)}
            for name, shape in shapes.items():
                parameters[name] = torch.empty(shape).uniform_(-bound, bound, generator=readout)
            networks.append(parameters)
        return {name: torch.stack([each[name] for each in networks]) for name in networks[0]}

    def network(self) -> Network:
        return Network(self.cell, self.parameters, self.constants)

    def _part(self, part: slice) -> dict[str, Tensor]:
        """The parameters of some networks, which share memory with all."""
        if part == slice(0, len(self.settings)):
            return self.parameters
        return {name: value.detach()[part].requires_grad_() for name, value in self.parameters.items()}

    def _scores(self, parameters: Mapping[str, Tensor], part: slice, inputs: Tensor, noise: Tensor | None) -> Tensor:
        """Class scores for inputs as a way takes them: (networks, batch, classes) after the last step, or, for tasks
        that are read out at every step, (networks, time * batch, classes)."""
        constants = {name: value[part] for name, value in self.constants.items()}
        truncations = [each.truncation for each in self.settings[part]]
        hidden = self.way.hidden(parameters, constants, inputs, noise, cuts(truncations, inputs.shape[1]))
        if self.task.readout == "every":
            hidden = hidden.flatten(1, 2)  # all steps in one product
        return torch.baddbmm(parameters["readout_bias"].unsqueeze(1), hidden, parameters["readout_weight"].mT)

    def train_epoch(self) -> Tensor:
        """One pass over each network's training examples in its own order. Returns the mean loss (networks,)."""
        start = self.optimiser.steps

        def train(part: slice) -> Tensor:
            held = self.optimiser.snapshot(part)
            self.optimiser.steps = start
            try:
                return self._train_part(part, self.epoch + 1)
            except Exception:
                self.optimiser.restore(part, held)
                raise

        losses = torch.cat(self._in_parts(train))
        self.epoch += 1
        return losses

    def _train_part(self, part: slice, epoch: int) -> Tensor:
        settings, parameters = self.settings[part], self._part(part)
        count = self.task.examples_per_network
        orders = torch.stack([self.task.order(each.seed, epoch) for each in settings])
        noises = self._noise(settings, epoch, count)
        total = torch.zeros(len(settings), device=self.device)
        for chosen, noise in zip(self._moved(orders).split(self.batch_size, dim=1), noises, strict=True):
            inputs, targets = mini_batch(self._training, chosen, self.task.readout)
            losses = self.task.loss(self._scores(parameters, part, inputs, noise), targets)
            losses.sum().backward()  # the sum: each network gets the gradient of its own loss
            self.optimiser.step(losses.detach(), parameters, part.start)
            total += losses.detach() * chosen.shape[1]
        return total / count

    def _moved(self, drawn: Tensor) -> Tensor:
        """What was drawn on the CPU, on the device; a GPU's queue does not wait for it."""
        if self.device.type == "cuda":
            return drawn.pin_memory().to(self.device, non_blocking=True)
        return drawn.to(self.device)

    def _noise(self, settings: Sequence[NetworkSettings], epoch: int, examples: int) -> Iterator[Tensor | None]:
        """For each mini-batch the noise of the cells that train under it, (networks, time, batch, channels)."""
        generators = [generator(each.seed, "noise", epoch) for each in settings]
        channels = self.cell.noise_channels * self.cell.units
        for start in range(0, examples, self.batch_size):
            if not channels:
                yield None
                continue
            noise = torch.empty(len(settings), self.task.steps, min(self.batch_size, examples - start), channels)
            for own, source in zip(noise, generators, strict=True):
                torch.randn(own.shape, generator=source, out=own)
            yield self._moved(noise)

    @torch.no_grad()
    def evaluate(self, examples: Examples) -> tuple[Tensor, Tensor]:
        """Mean loss in nats and accuracy of every network on `examples`, without noise, (networks,) each."""

        def batches(part: slice) -> Batches:
            return same_for_all(examples, part.stop - part.start, self._rows(part), self.task.readout, self.device)

        return self._evaluate(batches)

    @torch.no_grad()
    def evaluate_training(self) -> tuple[Tensor, Tensor]:
        """The same of every network on its own training examples."""

        def batches(part: slice) -> Batches:
            own = torch.stack([self.task.own_examples(each.seed) for each in self.settings[part]])
            for chosen in self._moved(own).split(self._rows(part), dim=1):
                yield mini_batch(self._training, chosen, self.task.readout)

        return self._evaluate(batches)

    def _rows(self, part: slice) -> int:
        return sequences_at_once(self.task, self.batch_size, part.stop - part.start)

    def _evaluate(self, batches: Callable[[slice], Batches]) -> tuple[Tensor, Tensor]:
        def evaluate(part: slice) -> tuple[Tensor, Tensor]:
            parameters = self._part(part)
            return loss_and_accuracy(
                self.task, lambda inputs: self._scores(parameters, part, inputs, None), batches(part)
            )

        losses, accuracies = zip(*self._in_parts(evaluate), strict=True)
        return torch.cat(losses).cpu(), torch.cat(accuracies).cpu()

    def _in_parts(self, work: Callable[[slice], Result]) -> list[Result]:
        """`work` on the pack part by part; a part for which there is no memory is tried again in halves."""
        results: list[Result] = []
        first = 0
        while first < len(self.settings):
            part = slice(first, min(first + self.networks_at_once, len(self.settings)))
            if (result := self._unless_out_of_memory(work, part)) is None:
                self.networks_at_once = (part.stop - part.start) // 2
                self.way.release()
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            results.append(result)
            first = part.stop
        return results

    def _unless_out_of_memory(self, work: Callable[[slice], Result], part: slice) -> Result | None:
        """Returning ends the error and with it the frames that hold on to what was allocated."""
        try:
            return work(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if part.stop - part.start == 1:
                raise UserError(
                    f"one {self.cell.name} of {self.cell.units} units with batch_size={self.batch_size} and "
                    f"{self.task.steps} steps does not fit into memory on {self.device.type}: expected a smaller batch"
                ) from error
            return None

    def run(self, epochs: int) -> Iterator[EpochResult]:
        if self.epoch == 0:
            yield self._result(self.evaluate_training()[0])
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

    @classmethod
    def ways(cls, cell: Cell, device: torch.device) -> list[str]:
        return available_ways(cell, device)

    @classmethod
    def check_way(cls, name: str, cell: Cell, device: torch.device) -> None:
        check_way(name, cell, device)

    @classmethod
    def fastest_way(
        cls,
        cell: Cell,
        task: Classification,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
    ) -> tuple[str, int]:
        from aelle_core.training.choice import WayTimings, Workload  # which times packs of this trainer

        return WayTimings().chosen(Workload.of(cell, task, batch_size, networks, device))

    @classmethod
    def epoch_timings(
        cls,
        cell: Cell,
        task: Classification,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
        *,
        anew: bool = False,
    ) -> dict[str, Timing]:
        from aelle_core.training.choice import WayTimings, Workload

        timings, workload = WayTimings(), Workload.of(cell, task, batch_size, networks, device)
        found = (None if anew else timings.read(workload)) or timings.measure(workload, say=lambda sentence: None)
        own = task.examples_per_network
        validation = len(task.splits.validation) / (3 * own)  # a forward pass is about a third of a training step
        batches = math.ceil(own / batch_size) * (1 + validation)
        return {way: replace(timing, seconds=timing.seconds * batches) for way, timing in found.items()}

    @classmethod
    def network_bytes(cls, cell: Cell, task: Classification, batch_size: int) -> int:  # type: ignore[override]
        return network_bytes(cell, task, batch_size)
