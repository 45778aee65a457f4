"""Draw each network's initial weights and noise from its own seed, so that neighbours in a pack do not matter."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from aelle_core.cells import Cell
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Supervised
from aelle_core.training.trainer import NetworkSettings


def initial_parameters(cell: Cell, task: Supervised, settings: Sequence[NetworkSettings]) -> dict[str, Tensor]:
    """Return the parameters of every network before training, cell and readout, each (networks, ...) on the CPU."""
    networks = []
    for network in settings:
        parameters = network.initial_weights(cell)
        bound = cell.units**-0.5  # torch.nn.Linear's own range, whatever the cell's scale
        readout = generator(network.seed, "readout")
        shapes = {"readout_weight": (task.outputs, cell.units), "readout_bias": (task.outputs,)}
        for name, shape in shapes.items():
            parameters[name] = torch.empty(shape).uniform_(-bound, bound, generator=readout)
        networks.append(parameters)
    return {name: torch.stack([parameters[name] for parameters in networks]) for name in networks[0]}


def noise_per_batch(
    cell: Cell,
    settings: Sequence[NetworkSettings],
    epoch: int,
    steps: int,
    rows: Sequence[int],
    device: torch.device,
) -> Iterator[Tensor | None]:
    """Yield for each mini-batch, of `rows` sequences, the noise that its cells train under.

    Each is (networks, time, batch, channels), in memory that the next one overwrites; None for cells without noise.
    """
    generators = [generator(network.seed, "noise", epoch, device=device) for network in settings]
    channels = cell.noise_channels * cell.units
    noise = torch.empty(0, device=device)
    for batch in rows:
        if not channels:
            yield None
            continue
        shape = len(settings), steps, batch, channels
        if noise.shape != shape:
            noise = torch.empty(shape, device=device)
        for drawn, source in zip(noise, generators, strict=True):
            drawn.normal_(generator=source)
        yield noise
