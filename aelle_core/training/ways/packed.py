"""The reference: batched products in a loop over time, differentiated by autograd."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aelle_core.cells import Cell
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways.base import Way, ways


@ways.register("packed")
class Packed(Way):
    """All networks take a step together, in plain torch on any device."""

    @classmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        return None

    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        weights = self.cell.prepare(parameters, constants)
        networks, time, rows = batch.inputs.shape[:3]
        drives = self.drives(weights, batch.inputs)
        state = self.cell.initial_state(networks, rows, like=drives)
        part = self.cell.parts[0]
        states = []
        # unbind, not indexing: the backward pass of drives[:, t] would write the whole tensor once per step.
        noises = batch.noise.unbind(1) if batch.noise is not None else [None] * time
        for time_now, (drive, noise_now) in enumerate(zip(drives.unbind(1), noises, strict=True)):
            state = self.cell.step(weights, drive, state, noise_now)
            if self.readout == "every":
                states.append(state[part])
            if time_now in batch.cuts:
                stopped = batch.cuts[time_now].to(drives.device).view(-1, 1, 1)
                state = {name: torch.where(stopped, value.detach(), value) for name, value in state.items()}
        return torch.stack(states, dim=1) if self.readout == "every" else state[part]
