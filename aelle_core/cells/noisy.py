"""The noisy network: a Lipschitz network that is trained under noise."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import State, cells
from aelle_core.cells.lipschitz import LipschitzRNN


@cells.register("noisy")
class NoisyRNN(LipschitzRNN):
    """h' = h + e f(h, x) + sqrt(e) (additive + multiplicative f(h, x)) xi, with the Lipschitz network's drift f and xi
    standard normal, drawn for every unit and step while training; no noise when evaluated and none in the spectrum. e
    is the constant `step`.

    The noise is scaled by sqrt(e), as the paper's equation has it and the authors' code has not: a noise
    level a of theirs is a / sqrt(e) here. Weights move as those of the Lipschitz network do.

    State: h (networks, batch, units). Lim, Erichson, Hodgkinson, Mahoney, Noisy recurrent neural networks, 2021,
    equation 7 and its experiments' noise.
    """

    defaults: ClassVar[Mapping[str, float]] = {
        **LipschitzRNN.defaults,
        "additive": 0.02,
        "multiplicative": 0.02,
    }
    noise_channels: ClassVar[int] = 1

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        drift = self.drift(weights, drive, state)
        h = torch.addcmul(state["h"], weights["step"], drift)
        if noise is None:
            return {"h": h}
        spread = weights["step"].sqrt() * (weights["additive"] + weights["multiplicative"] * drift)
        return {"h": torch.addcmul(h, spread, noise)}
