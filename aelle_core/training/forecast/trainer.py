"""Training forecasters: teacher-forced at every step or sparsely, with input noise and a residual output."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.ranges import Choice, Range, WholeRange
from aelle_core.lyapunov import ClosedLoop
from aelle_core.tasks.forecast import Forecast
from aelle_core.training.forecast.ridge import Ridge
from aelle_core.training.forecast.sparse_forcing import SparselyForced, forced_steps
from aelle_core.training.gradient.trainer import PackTrainer
from aelle_core.training.mini_batches import Labelled, MiniBatch, mini_batch
from aelle_core.training.trainer import trainers
from aelle_core.training.ways import Way

_RIDGE = 1e-6
LYAPUNOV = "lyapunov"


def _forcing(value: object) -> Range | Choice:
    """Return the range of whole steps, or the choice "lyapunov", that `value` says."""
    return Choice.parse(value, "forcing", [LYAPUNOV]) if isinstance(value, str) else WholeRange.parse(value)


@trainers.register("forecast")
class ForecastTrainer(PackTrainer):
    """Packs that learn the next step of series by Adam, on windows in which every input is the data's, or every tau-th.

    input_noise  standard deviation of normal noise on every input while training, in units of the features'
    residual     "yes" where the readout gives the change from the last input instead of the next value
    forcing      steps tau between inputs that are the data's; between them the network reads its own output.
                 "lyapunov" is ln 2 / lambda_1 in steps, of the system's largest exponent, published or estimated from
                 the training series. 1 by default; reservoirs, whose readout is solved for, always read the data
    ridge        what the squared weights of a readout cost, for cells whose weights are fixed: their readout is found
                 by one ridge regression on all windows in the first epoch, and is left alone after it

    With a residual the readout is compared with x_{t+1} minus the input as the network saw it, noise included, which is
    the loss of y = W h + x in every way of training. Jaeger 2001 (noise), equation 16; Hess et al. 2023.

    Sparse forcing is of Mikhaeil, Monfared, Durstewitz, NeurIPS 2022, here for networks that read inputs: data reach
    the state through the input alone, and gradients flow on through the state unless `truncation` stops them.
    "packed", its rounded variants and "compiled" train it; "fused" computes its losses as "packed" does, since torch's
    layers take whole sequences.
    """

    optional: ClassVar[Mapping[str, Callable[[object], Range | Choice]]] = {
        **PackTrainer.optional,
        "input_noise": Range.parse,
        "residual": lambda value: Choice.parse(value, "residual", ["no", "yes"]),
        "forcing": _forcing,
        "ridge": Range.parse,
    }
    reads: ClassVar[tuple[str, ...]] = ("input_noise", "residual", "forcing", "ridge")

    task: Forecast

    def _begin(self) -> None:
        given = [network.options.get("forcing", 1) for network in self.settings]
        self.forcing = [self.task.forcing_interval if interval == LYAPUNOV else int(interval) for interval in given]
        self._sparse = max(self.forcing) > 1 and not self.cell.fixed
        super()._begin()
        noise = [float(network.options.get("input_noise", 0.0)) for network in self.settings]
        self._input_noise = self._per_network(noise).view(-1, 1, 1, 1)
        self.residual = self._per_network(
            [float(network.options.get("residual", "no") == "yes") for network in self.settings]
        )

    def _way(self) -> Way:
        plain = super()._way()
        return SparselyForced(plain, self.task.loss_kind) if self._sparse else plain

    def _constants(self, part: slice) -> dict[str, Tensor]:
        return {**super()._constants(part), "residual": self.residual[part].view(-1, 1, 1)}

    def _preparation(self, share: slice, epoch: int | None) -> Callable[[Labelled], Labelled]:
        settings, scale = self.settings[share], self._input_noise[share]
        residual = self.residual[share].view(-1, 1, 1)
        noisy = epoch is not None and bool(scale.any())
        read = None
        if self._sparse and epoch is not None:
            intervals = torch.tensor(self.forcing[share], device=self.device)
            read = forced_steps(intervals, self.task.steps).view(-1, self.task.steps, 1, 1)
        sources = [generator(network.seed, "input noise", epoch or 0) for network in settings] if noisy else []

        def prepare(given: Labelled) -> Labelled:
            inputs, targets = given.inputs, given.targets
            if noisy:
                drawn = [torch.randn(inputs.shape[1:], generator=source) for source in sources]
                inputs = inputs + scale * torch.stack(drawn).to(inputs.device)
            if read is not None:  # targets stay: the output as a whole is compared with them
                inputs = torch.cat([inputs, read.expand(*inputs.shape[:3], 1)], dim=-1)
            elif bool(residual.any()):
                targets = targets - residual * inputs.flatten(1, 2)
            return replace(given, inputs=inputs, targets=targets)

        return prepare

    def train_epoch(self) -> Tensor:
        if not self.cell.fixed:
            return super().train_epoch()
        if self.epoch == 0:
            self._solve()
        self.epoch += 1
        return self.evaluate_training()[0]

    @torch.no_grad()
    def _solve(self) -> None:
        """Find all readouts at once, from every network's training windows."""
        everyone = slice(0, len(self.settings))
        ridge = Ridge(len(self.settings), self.cell.units, self.task.outputs, self.device)
        orders = self._moved(torch.stack([self.task.own_examples(network.seed) for network in self.settings]))
        prepare = self._preparation(everyone, 1)
        for chosen in orders.split(max(self.batch_size, 64), dim=1):
            given = prepare(mini_batch(self._training, chosen, self.task.read_out_after))
            hidden = self._ways[0].hidden(self.parameters, self.constants, MiniBatch(given.inputs))
            ridge.add(hidden.flatten(1, 2), given.targets)
        strengths = self._per_network([float(network.options.get("ridge", _RIDGE)) for network in self.settings])
        weight, bias = ridge.solve(strengths)
        self.parameters["readout_weight"].copy_(weight)
        self.parameters["readout_bias"].copy_(bias)

    def closed_loop(self) -> ClosedLoop:
        """Return the pack's present networks, each fed with its own output."""
        readout = (self.parameters["readout_weight"].detach(), self.parameters["readout_bias"].detach())
        return ClosedLoop(self.network(), readout, residual=self.residual.cpu().double())
