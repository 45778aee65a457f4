"""One network after the other: torch.optim.Adam on the mini-batches of one network, as training scripts have it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Alone:
    """A module that gives class scores (batch, classes), trained by cross-entropy, a clip of its gradient's norm and
    Adam. `fused` takes torch's fused Adam, which scripts leave off unless they are tuned."""

    def __init__(self, model: nn.Module, *, learning_rate: float, clip: float = 1.0, fused: bool = False) -> None:
        self.model = model
        self.clip = clip
        self.optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused or None)

    def train(
        self,
        inputs: Tensor,
        targets: Tensor,
        order: Tensor,
        batch_size: int,
        noises: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """One pass over the examples in this order; the mean loss, nats."""
        total = inputs.new_zeros(())
        for index, chosen in enumerate(order.split(batch_size)):
            given = (inputs[chosen],) if noises is None else (inputs[chosen], noises[index])
            self.optimiser.zero_grad()
            loss = functional.cross_entropy(self.model(*given), targets[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimiser.step()
            total += loss.detach() * len(chosen)
        return total / len(order)
