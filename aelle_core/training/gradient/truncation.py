"""Truncated backpropagation through time: over how many steps gradients flow back."""

from collections.abc import Sequence

import torch
from torch import Tensor


def cuts(truncations: Sequence[int | None], steps: int) -> dict[int, Tensor]:
    """After which steps gradients stop, for which networks: step -> (networks,) bool.

    Counted from a sequence's end, gradients flow within stretches of `truncation` steps and not from one into the one
    before it, where the state goes on as a constant; with None they flow through the whole sequence. A task that is
    read out after the last step thus trains on exactly its last `truncation` steps, one that is read out at every
    step on up to as many before each. Williams & Peng 1990, with a forward pass that is not interrupted.
    """
    ends: dict[int, Tensor] = {}
    for network, truncation in enumerate(truncations):
        if truncation is not None:
            for step in range(steps - 1 - truncation, -1, -truncation):
                ends.setdefault(step, torch.zeros(len(truncations), dtype=torch.bool))[network] = True
    return ends
