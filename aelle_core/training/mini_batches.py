"""Mini-batches as the ways want them: time before batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from aelle_core.tasks import Examples


@dataclass(frozen=True)
class MiniBatch:
    """What networks run along: `inputs` (networks, time, batch, features), or (networks, time, batch) codes of one-hot
    inputs, and `noise`, for cells that train under it, (networks, time, batch, noise_channels * units). After the steps
    that `cuts` names no gradient flows back, in the networks (networks,) that it marks there (see
    aelle_core.training.gradient.truncation)."""

    inputs: Tensor
    noise: Tensor | None = None
    cuts: Mapping[int, Tensor] = field(default_factory=dict)


def time_first(targets: Tensor) -> Tensor:
    """Targets (..., count, time) of tasks that are read out at every step as (..., time * count): in the order of the
    rows of hidden states."""
    return targets.mT.flatten(-2)


def mini_batch(examples: Examples, chosen: Tensor, readout: str) -> tuple[Tensor, Tensor]:
    """Of the examples (networks, batch): inputs (networks, time, batch, features), or codes, and targets (networks,
    batch), or (networks, time * batch) where there is one at every step. Inputs are a view: a way that wants the rows
    of a step side by side copies them."""
    inputs = examples.inputs.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)
    targets = examples.targets[chosen]
    return inputs.transpose(1, 2), time_first(targets) if readout == "every" else targets


def same_for_all(
    examples: Examples, networks: int, rows: int, readout: str, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """All examples in their order, `rows` at a time, as inputs and targets like those above, equal for all networks."""
    for start in range(0, len(examples), rows):
        inputs = examples.inputs[start : start + rows].to(device).transpose(0, 1).contiguous()
        targets = examples.targets[start : start + rows].to(device)
        targets = time_first(targets) if readout == "every" else targets
        yield inputs.expand(networks, *inputs.shape), targets.expand(networks, -1)
