"""Running a pack of networks along sequences."""

from collections.abc import Mapping

from torch import Tensor

from aelle_core.cells import Cell


def forward(cell: Cell, weights: Mapping[str, Tensor], inputs: Tensor, noise: Tensor | None = None) -> Tensor:
    """The hidden state after the last step, (networks, batch, units).

    `weights` come from `cell.prepare`, `inputs` are (networks, batch, time, features), `noise`, for cells that
    train under it, (networks, time, batch, noise_channels * units). States start at zero.
    """
    networks, batch, time, features = inputs.shape
    rows = inputs.transpose(1, 2).reshape(networks, time * batch, features)
    drives = cell.drive(weights, rows).view(networks, time, batch, -1)
    state = cell.initial_state(networks, batch, like=drives)
    # unbind, not indexing: the backward pass of drives[:, t] would write the whole tensor once per step.
    noises = noise.unbind(1) if noise is not None else [None] * time
    for drive, noise_now in zip(drives.unbind(1), noises, strict=True):
        state = cell.step(weights, drive, state, noise_now)
    return state[cell.parts[0]]
