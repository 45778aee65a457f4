"""FORCE: first-order reduced and controlled error learning of a readout that feeds back into its network."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.cells.rank1 import RankOneNetwork
from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.ranges import Range
from aelle_core.tasks.target_learning import TargetLearning
from aelle_core.training.force.least_squares import RecursiveLeastSquares
from aelle_core.training.trainer import EpochResult, NetworkSettings, Timing, Trainer, trainers

_TIMED_STEPS = 20


@trainers.register("force")
class ForceTrainer(Trainer):
    """Rank-one networks whose readout w_o learns the task's target by recursive least squares, at regular steps while
    the network runs on its own output; an epoch is a period of the target.

    A network starts at a random state, N(0, 0.25), with w_o = 0. After every epoch it is run freely from where it is,
    its w_o held, for the task's test periods; their mean |error| is its validation and its test loss. Spectra are of
    the closed loop along the first of these periods. All in float64. P(0) is `learning_rate` times the identity: the
    paper's 1 / alpha.

    What a network becomes does not depend on its neighbours: every product is within its own network. Those whose
    numbers are no longer finite are not `alive`, and the others do not notice.

    Sussillo & Abbott, Neuron 2009, and the program `force_internal_all2all` that they published with it: the output
    that is fed back and compared with the target is that of the weights before the update.
    """

    ranges: ClassVar[Mapping[str, Range]] = {"learning_rate": Range(1.0, 1.0)}
    trains: ClassVar[type[Cell]] = RankOneNetwork

    task: TargetLearning

    def _begin(self) -> None:
        cell = self.cell
        self.networks_at_once = len(self.settings)  # a step of all is one product
        drawn = [network.initial_weights(cell) for network in self.settings]
        self.parameters = {name: self._double(torch.stack([weights[name] for weights in drawn])) for name in drawn[0]}
        constants = [cell.constants(network.constants) for network in self.settings]
        self.constants = {name: self._per_network([network[name] for network in constants]) for name in cell.defaults}
        states = [torch.randn(cell.units, generator=generator(network.seed, "state")) for network in self.settings]
        self.x = 0.5 * self._double(torch.stack(states))
        rates = self._per_network([network.learning_rate for network in self.settings])
        self.squares = RecursiveLeastSquares(self.parameters["w_o"], rates)
        self.target = self._double(self.task.target())
        self._couplings = _block_diagonal(self.parameters["M"])

    def _double(self, values: Tensor) -> Tensor:
        return values.to(device=self.device, dtype=torch.float64)

    def _per_network(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def network(self) -> Network:
        return Network(self.cell, self.parameters, self.constants)

    @property
    def initial_state(self) -> Tensor:
        return self.x.unsqueeze(1)

    def _advance(self, x: Tensor, rates: Tensor, z: Tensor) -> Tensor:
        """Return x' = (1 - dt) x + dt (M r + w_f z): (networks, units) twice and (networks, 1)."""
        dt = self.constants["step"].unsqueeze(1)
        recurrent = self._couplings.mv(rates.flatten()).view_as(x)
        return (1 - dt) * x + dt * torch.addcmul(recurrent, self.parameters["w_f"], z)

    def train_epoch(self) -> Tensor:
        """One period of the target with learning. Returns the mean |error| before each update, (networks,)."""
        total = self._learn(self.task.period)
        self.epoch += 1
        return total / self.task.period

    def _learn(self, steps: int) -> Tensor:
        """Take the first steps of a period, with learning. Returns the sum of |error|, (networks,)."""
        total = torch.zeros(len(self.settings), dtype=torch.float64, device=self.device)
        for moment in range(steps):
            rates = torch.tanh(self.x)
            z = (self.parameters["w_o"] * rates).sum(dim=1, keepdim=True)
            errors = z - self.target[moment]
            if moment % self.task.learn_every == 0:
                self.squares.step(rates, errors)
            total += errors.abs().squeeze(1)
            self.x = self._advance(self.x, rates, z)
        return total

    def free_run(self, periods: int) -> Tensor:
        """Return the outputs of the closed loop from the present state on, w_o held: (steps, networks). Changes
        nothing."""
        return self._run_freely(periods * self.task.period)

    def _run_freely(self, steps: int) -> Tensor:
        x, outputs = self.x, []
        for _ in range(steps):
            rates = torch.tanh(x)
            z = (self.parameters["w_o"] * rates).sum(dim=1, keepdim=True)
            outputs.append(z.squeeze(1))
            x = self._advance(x, rates, z)
        return torch.stack(outputs)

    def evaluate(self) -> Tensor:
        """Mean |error| of the free run over the task's test periods, (networks,)."""
        targets = self.target.repeat(self.task.test_periods)
        outputs = self.free_run(self.task.test_periods).T.contiguous()
        # One by one: how torch adds up several at once depends on how many they are.
        return torch.stack([(output - targets).abs().mean() for output in outputs]).cpu()

    def test(self) -> tuple[Tensor, Tensor]:
        losses = self.evaluate()
        return losses, torch.full_like(losses, float("nan"))

    def run(self, epochs: int) -> Iterator[EpochResult]:
        if self.epoch == 0:
            losses = self.evaluate()
            yield self._result(losses.clone(), losses)
        while self.epoch < epochs:
            yield self._result(self.train_epoch().cpu(), self.evaluate())

    def _result(self, train_loss: Tensor, losses: Tensor) -> EpochResult:
        finite = self.x.isfinite().all(dim=1) & self.parameters["w_o"].isfinite().all(dim=1)
        nothing = torch.full_like(losses, float("nan"))
        return EpochResult(self.epoch, train_loss, losses, nothing, finite.cpu() & losses.isfinite())

    def state(self) -> dict[str, Tensor]:
        parameters = {f"parameters/{name}": value for name, value in self.parameters.items()}
        return {**parameters, "initial_state": self.initial_state, "inverse": self.squares.inverse}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.parameters["w_o"].copy_(state["parameters/w_o"])  # all else follows from the seeds
        self.x = self._double(state["initial_state"]).squeeze(1)
        self.squares.inverse.copy_(state["inverse"])

    @classmethod
    def epoch_timings(
        cls,
        cell: Cell,
        task: TargetLearning,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
        *,
        anew: bool = False,
    ) -> dict[str, Timing]:
        settings = [NetworkSettings(seed, 1.5, 1.0) for seed in range(networks)]
        trainer = cls(cell, task, settings, device=device)
        steps = min(_TIMED_STEPS, task.period)
        seconds = []
        for work in (trainer._learn, trainer._run_freely):
            work(steps).sum().item()  # the first call warms up
            begun = time.perf_counter()
            work(steps).sum().item()  # .item() waits for a device
            seconds.append((time.perf_counter() - begun) / (steps * networks))
        return {"packed": Timing(task.period * (seconds[0] + task.test_periods * seconds[1]), networks)}

    @classmethod
    def network_bytes(cls, cell: Cell, task: TargetLearning, batch_size: int) -> int:  # type: ignore[override]
        # M, and as a sparse matrix with its columns, P and a product of its size, the outputs of the test.
        return 8 * (4 * cell.units**2 + task.test_periods * task.period)

    @classmethod
    def size(cls, cell: Cell, task: TargetLearning) -> tuple[int, int]:  # type: ignore[override]
        return cell.units, 8 * (2 * cell.units**2 + 4 * cell.units)


def _block_diagonal(matrices: Tensor) -> Tensor:
    """(networks, units, units) as one sparse matrix (networks * units, networks * units): a product with it reads a
    tenth of the entries."""
    networks, units = matrices.shape[:2]
    network, row, column = matrices.nonzero(as_tuple=True)
    per_row = torch.bincount(network * units + row, minlength=networks * units)
    starts = torch.nn.functional.pad(per_row.cumsum(0), (1, 0))
    values, columns, shape = matrices[network, row, column], network * units + column, (networks * units,) * 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=True)
