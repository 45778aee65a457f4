"""Training forecasters: teacher-forced, with input noise and, where asked for, a residual output."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.ranges import Choice, Range
from aelle_core.lyapunov import ClosedLoop
from aelle_core.tasks.forecast import Forecast
from aelle_core.training.forecast.ridge import Ridge
from aelle_core.training.gradient.trainer import PackTrainer
from aelle_core.training.mini_batches import Labelled, MiniBatch, mini_batch
from aelle_core.training.trainer import trainers

_RIDGE = 1e-6


@trainers.register("forecast")
class ForecastTrainer(PackTrainer):
    """Packs that learn the next step of series by Adam, on windows in which every input is the data's.

    input_noise  standard deviation of normal noise on every input while training, in units of the features'
    residual     "yes" where the readout gives the change from the last input instead of the next value
    ridge        what the squared weights of a readout cost, for cells whose weights are fixed: their readout is found
                 by one ridge regression on all windows in the first epoch, and is left alone after it

    With a residual the readout is compared with x_{t+1} minus the input as the network saw it, noise included, which is
    the loss of y = W h + x in every way of training. Jaeger 2001 (noise), equation 16; Hess et al. 2023.
    """

    optional: ClassVar[Mapping[str, Callable[[object], Range | Choice]]] = {
        **PackTrainer.optional,
        "input_noise": Range.parse,
        "residual": lambda value: Choice.parse(value, "residual", ["no", "yes"]),
        "ridge": Range.parse,
    }
    reads: ClassVar[tuple[str, ...]] = ("input_noise", "residual", "ridge")

    task: Forecast

    def _begin(self) -> None:
        super()._begin()
        noise = [float(network.options.get("input_noise", 0.0)) for network in self.settings]
        self._input_noise = self._per_network(noise).view(-1, 1, 1, 1)
        self.residual = self._per_network(
            [float(network.options.get("residual", "no") == "yes") for network in self.settings]
        )

    def _preparation(self, share: slice, epoch: int | None) -> Callable[[Labelled], Labelled]:
        settings, scale = self.settings[share], self._input_noise[share]
        residual = self.residual[share].view(-1, 1, 1)
        noisy = epoch is not None and bool(scale.any())
        sources = [generator(network.seed, "input noise", epoch or 0) for network in settings] if noisy else []

        def prepare(given: Labelled) -> Labelled:
            inputs, targets = given.inputs, given.targets
            if noisy:
                drawn = [torch.randn(inputs.shape[1:], generator=source) for source in sources]
                inputs = inputs + scale * torch.stack(drawn).to(inputs.device)
            if bool(residual.any()):
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
