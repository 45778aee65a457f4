"""Mini-batches as the ways want them: time before batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from aelle_core.tasks import Examples


@dataclass(frozen=True)
class MiniBatch:
    """What networks run along.

    inputs   (networks, time, batch, features), or (networks, time, batch) codes of one-hot inputs
    noise    for cells that train under it, (networks, time, batch, noise_channels * units)
    cuts     after the steps named here no gradient flows back, in the networks (networks,) that are marked there (see
             aelle_core.training.gradient.truncation)
    weights  (networks, rows): how much each row that is read out counts in the loss, where they do not count alike
    """

    inputs: Tensor
    noise: Tensor | None = None
    cuts: Mapping[int, Tensor] = field(default_factory=dict)
    weights: Tensor | None = None


@dataclass(frozen=True)
class Labelled:
    """Inputs with the targets of the rows that are read out, and their weights where they do not count alike.

    inputs   as in MiniBatch
    targets  (networks, rows) classes, or (networks, rows, outputs) numbers; rows are sequences, or time * batch
    weights  (networks, rows), or None
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    @property
    def count(self) -> Tensor:
        """How many rows each network has, by their weights, (networks,)."""
        if self.weights is not None:
            return self.weights.sum(dim=1)
        return torch.full((len(self.targets),), float(self.targets.shape[1]), device=self.targets.device)


def mini_batch(examples: Examples, chosen: Tensor, readout: str) -> Labelled:
    """Return the examples (networks, batch) for networks that are read out after the last step or after every one.

    Inputs are a view: a way that wants the rows of a step side by side copies them.
    """

    def picked(values: Tensor) -> Tensor:
        return values.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)

    lengths = None if examples.lengths is None else picked(examples.lengths)
    inputs = picked(examples.inputs).transpose(1, 2)
    return Labelled(inputs, *_rows(examples, picked(examples.targets), lengths, readout))


def same_for_all(
    examples: Examples, networks: int, rows: int, readout: str, device: torch.device
) -> Iterator[Labelled]:
    """Yield all examples in their order, `rows` at a time, equal for all networks."""
    for start in range(0, len(examples), rows):
        part = slice(start, start + rows)
        inputs = examples.inputs[part].to(device).transpose(0, 1).contiguous()
        lengths = None if examples.lengths is None else examples.lengths[part].to(device)[None]
        targets, weights = _rows(examples, examples.targets[part].to(device)[None], lengths, readout)
        yield Labelled(
            inputs.expand(networks, *inputs.shape),
            targets.expand(networks, *targets.shape[1:]),
            None if weights is None else weights.expand(networks, -1),
        )


def _rows(examples: Examples, targets: Tensor, lengths: Tensor | None, readout: str) -> tuple[Tensor, Tensor | None]:
    """Return targets and weights of the rows that are read out: targets (networks, batch, ...) and lengths (networks,
    batch) -> (networks, rows, ...) and (networks, rows)."""
    if readout == "last":
        return targets, None
    steps = examples.inputs.shape[1]
    trailing = 0 if targets.dtype == torch.int64 else 1
    per_step = examples.targets.dim() - trailing == 2  # a target for every step, not one for each sequence
    if not per_step:
        shape = (*targets.shape[:2], steps, *targets.shape[2:])
        targets = targets.unsqueeze(2).expand(shape)
    rows = targets.transpose(1, 2).flatten(1, 2)
    if lengths is None:
        return rows, None
    ends = lengths.unsqueeze(1) - 1  # (networks, 1, batch)
    time = torch.arange(steps, device=targets.device).view(1, -1, 1)
    counted = time <= ends if per_step else time == ends
    return rows, counted.float().flatten(1, 2)
