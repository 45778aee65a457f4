"""Mini-batches as the ways want them: time before batch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from aelle_core.tasks import Examples


class TimeMajor:
    """Examples laid out so that a mini-batch comes out as the ways want it: time before batch."""

    def __init__(self, examples: Examples) -> None:
        self._count, self._time, *self._features = examples.inputs.shape
        self._rows = examples.inputs.transpose(0, 1).flatten(0, 1).contiguous()
        self._targets = _time_first(examples.targets)
        self._steps = torch.arange(self._time, device=self._rows.device).view(1, -1, 1) * self._count

    def __len__(self) -> int:
        return self._count

    def take(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Of the examples (networks, batch): inputs (networks, time, batch, features), or codes, and targets
        (networks, batch), or (networks, time * batch) where there is one at every step."""
        places = chosen.unsqueeze(1) + self._steps
        inputs = self._rows.index_select(0, places.flatten()).view(*places.shape, *self._features)
        if self._targets.dim() == 1:
            return inputs, self._targets[chosen]
        return inputs, self._targets.flatten()[places].flatten(1)


def same_for_all(examples: Examples, networks: int, rows: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """All examples in their order, `rows` at a time, as inputs and targets like those above, equal for all networks."""
    for start in range(0, len(examples), rows):
        inputs = examples.inputs[start : start + rows].to(device).transpose(0, 1).contiguous()
        targets = _time_first(examples.targets[start : start + rows].to(device)).flatten()
        yield inputs.expand(networks, *inputs.shape), targets.expand(networks, -1)


def _time_first(targets: Tensor) -> Tensor:
    """(count,) as it is, (count, time) -> (time, count)."""
    return targets if targets.dim() == 1 else targets.T.contiguous()
