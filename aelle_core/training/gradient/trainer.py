"""Training a pack: networks of one cell and size, side by side on the same task."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.cells.initialisers import initialisers
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.ranges import Choice, Range, WholeRange
from aelle_core.foundation.threads import own_threads
from aelle_core.tasks import Examples, Supervised
from aelle_core.training.gradient.draws import initial_parameters, noise_per_batch
from aelle_core.training.gradient.losses import loss_and_accuracy
from aelle_core.training.gradient.optimiser import PackedAdam
from aelle_core.training.gradient.parts import in_parts, shares
from aelle_core.training.gradient.plan import measured_epochs, measured_fastest_way, size_of
from aelle_core.training.gradient.truncation import cuts
from aelle_core.training.memory import is_out_of_memory, network_bytes, networks_at_once, sequences_at_once
from aelle_core.training.mini_batches import Labelled, MiniBatch, mini_batch, same_for_all
from aelle_core.training.trainer import EpochResult, Timing, Trainer, trainers
from aelle_core.training.ways import Way, available_ways, check_way, get_way

Result = TypeVar("Result")
Batches = Iterator[Labelled]


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
        "input_gain": Range.parse,
        "forget_bias": Range.parse,
    }

    task: Supervised

    def _begin(self) -> None:
        cell, task = self.cell, self.task
        self._ways = [self._way()]  # one for each thread
        self.parameters = {
            name: value.to(self.device).requires_grad_()
            for name, value in initial_parameters(cell, task, self.settings).items()
        }
        constants = [cell.constants(network.constants) for network in self.settings]
        self.constants = {
            name: self._per_network([values[name] for values in constants]).view(-1, 1, 1) for name in cell.defaults
        }
        self.optimiser = PackedAdam(
            self.parameters,
            self._per_network([network.learning_rate for network in self.settings]),
            self._per_network([network.clip for network in self.settings]),
        )
        self._training = task.splits.training.to(self.device)
        fitting = networks_at_once(network_bytes(cell, task, self.batch_size), self.device)
        self.networks_at_once = min(self.networks_at_once, fitting)

    def _per_network(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _way(self) -> Way:
        """Return a way for one thread."""
        return get_way(self.way_name, self.cell, self.task.read_out_after, self.device, self.task.loss_kind)

    def network(self) -> Network:
        return Network(self.cell, self.parameters, self.constants)

    def _part(self, part: slice) -> dict[str, Tensor]:
        """Return the parameters of some networks, which share memory with all; `data`, so that autograd does not take a
        step of other networks, on another thread, for a change of these."""
        if part == slice(0, len(self.settings)):
            return self.parameters
        return {name: value.data[part].requires_grad_() for name, value in self.parameters.items()}

    def _constants(self, part: slice) -> dict[str, Tensor]:
        return {name: value[part] for name, value in self.constants.items()}

    def train_epoch(self) -> Tensor:
        """One pass over each network's training examples in its own order. Returns the mean loss (networks,)."""
        start = self.optimiser.steps

        def train(part: slice) -> Tensor:
            held = self.optimiser.snapshot(part)
            try:
                return self._train_part(part, start)
            except Exception:
                self.optimiser.restore(part, held)
                raise

        losses = torch.cat(self._in_parts(train))
        self.epoch += 1
        return losses

    def _train_part(self, part: slice, start: int) -> Tensor:
        several = self._shares(part)
        total = torch.zeros(2, part.stop - part.start, device=self.device)
        with own_threads(len(several)) as threads:
            for losses in threads.in_step([self._train_share(*part, start) for part in several]):
                total += torch.cat(losses, dim=1)
        return total[0] / total[1]

    def _train_share(self, share: slice, way: Way, start: int) -> Iterator[Tensor]:
        """Yield sums of the rows' losses and how many rows there are, (2, networks), mini-batch after mini-batch, from
        the optimiser's step `start`."""
        settings, parameters, constants = self.settings[share], self._part(share), self._constants(share)
        stops = cuts([network.truncation for network in settings], self.task.steps)
        orders = torch.stack([self.task.order(network.seed, self.epoch + 1) for network in settings])
        mini_batches = self._moved(orders).split(self.batch_size, dim=1)
        rows = [chosen.shape[1] for chosen in mini_batches]
        noises = noise_per_batch(self.cell, settings, self.epoch + 1, self.task.steps, rows, self.device)
        prepare = self._preparation(share, self.epoch + 1)
        for step, (chosen, noise) in enumerate(zip(mini_batches, noises, strict=True), start + 1):
            given = prepare(mini_batch(self._training, chosen, self.task.read_out_after))
            batch = MiniBatch(given.inputs, noise, stops, given.weights)
            with way.arithmetic():
                losses = way.losses(parameters, constants, batch, given.targets)
                losses.sum().backward()  # the sum: each network gets the gradient of its own loss
            for name in self.cell.parameter_shapes() if self.cell.fixed else ():
                parameters[name].grad = None
            self.optimiser.step(losses.detach(), parameters, share.start, step)
            yield torch.stack([losses.detach() * given.count, given.count])

    def _preparation(self, share: slice, epoch: int | None) -> Callable[[Labelled], Labelled]:
        """Return what is done to the mini-batches of some networks before they see them: nothing, or what a subclass
        says. `epoch` is None where they are evaluated."""
        return lambda given: given

    def _moved(self, drawn: Tensor) -> Tensor:
        """Return what was drawn on the CPU, on the device; a GPU's queue does not wait for it."""
        if self.device.type == "cuda":
            return drawn.pin_memory().to(self.device, non_blocking=True)
        return drawn.to(self.device)

    def evaluate(self, examples: Examples) -> tuple[Tensor, Tensor]:
        """Mean loss in the task's unit and accuracy (NaN where it has none) of every network on `examples`, without
        noise, (networks,) each. Raises UserError where a code is no feature of the task, or a target beyond it."""
        self.task.check_examples(examples)

        def batches(share: slice, rows: int) -> Batches:
            return same_for_all(examples, share.stop - share.start, rows, self.task.read_out_after, self.device)

        return self._evaluate(batches)

    def evaluate_training(self) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy (networks,) of every network on its own training examples."""

        def batches(share: slice, rows: int) -> Batches:
            own = torch.stack([self.task.own_examples(network.seed) for network in self.settings[share]])
            for chosen in self._moved(own).split(rows, dim=1):
                yield mini_batch(self._training, chosen, self.task.read_out_after)

        return self._evaluate(batches)

    def _evaluate(self, batches: Callable[[slice, int], Batches]) -> tuple[Tensor, Tensor]:
        rows = sequences_at_once(self.task, self.batch_size, len(self.settings))

        @torch.no_grad()
        def evaluate(share: slice, way: Way, rows: int) -> tuple[Tensor, Tensor]:
            parameters, constants = self._part(share), self._constants(share)
            with way.arithmetic():
                return loss_and_accuracy(
                    lambda inputs: way.scores(parameters, constants, MiniBatch(inputs)),
                    map(self._preparation(share, None), batches(share, rows)),
                    self.task.loss_kind,
                )

        def evaluate_rows(part: slice) -> list[tuple[Tensor, Tensor]]:
            several = self._shares(part)
            with own_threads(len(several)) as threads:
                return threads.run([partial(evaluate, *part, rows) for part in several])

        def evaluate_part(part: slice) -> list[tuple[Tensor, Tensor]]:
            nonlocal rows
            try:
                return evaluate_rows(part)
            except Exception as error:
                if rows <= self.batch_size or not is_out_of_memory(error):
                    raise
            rows = self.batch_size  # as many as in training, before fewer networks than there
            self._release()
            return evaluate_rows(part)

        evaluated = itertools.chain.from_iterable(self._in_parts(evaluate_part))
        losses, accuracies = zip(*evaluated, strict=True)
        return torch.cat(losses).cpu(), torch.cat(accuracies).cpu()

    def _in_parts(self, work: Callable[[slice], Result]) -> list[Result]:
        def lessen(at_once: int) -> int:
            self.networks_at_once = at_once
            self._release()
            return at_once

        try:
            return in_parts(work, len(self.settings), self.networks_at_once, lessen)
        except MemoryError as error:
            raise UserError(
                f"one {self.cell.name} of {counted(self.cell.units, 'unit')} with batch_size={self.batch_size} and "
                f"{counted(self.task.steps, 'step')} does not fit into memory on {self.device.type}: expected a "
                "smaller batch"
            ) from error

    def _release(self) -> None:
        for way in self._ways:
            way.release()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _shares(self, part: slice) -> list[tuple[slice, Way]]:
        """Return the part's networks as threads share them, each thread with memory of its own."""
        count = min(torch.get_num_threads(), part.stop - part.start) if self._ways[0].own_threads else 1
        while len(self._ways) < count:
            self._ways.append(self._way())
        return list(zip(shares(part, count), self._ways, strict=False))

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
        return self.optimiser.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.optimiser.load(state)

    @classmethod
    def size(cls, cell: Cell, task: Supervised) -> tuple[int, int]:  # type: ignore[override]
        return size_of(cell, task)

    @classmethod
    def ways(cls, cell: Cell, task: Supervised, device: torch.device) -> list[str]:  # type: ignore[override]
        return available_ways(cell, device, task.loss_kind, rounded=True)

    @classmethod
    def check_way(cls, name: str, cell: Cell, task: Supervised, device: torch.device) -> None:  # type: ignore[override]
        check_way(name, cell, device, task.loss_kind)

    @classmethod
    def fastest_way(
        cls,
        cell: Cell,
        task: Supervised,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
    ) -> tuple[str, int]:
        return measured_fastest_way(cls, cell, task, batch_size, networks, device)

    @classmethod
    def epoch_timings(
        cls,
        cell: Cell,
        task: Supervised,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
        *,
        anew: bool = False,
    ) -> dict[str, Timing]:
        return measured_epochs(cls, cell, task, batch_size, networks, device, anew=anew)

    @classmethod
    def network_bytes(cls, cell: Cell, task: Supervised, batch_size: int) -> int:  # type: ignore[override]
        return network_bytes(cell, task, batch_size)
