"""The framework's own recurrent layers, one network at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.training.ways.base import Way, ways

_LAYERS: dict[str, Callable[..., Any]] = {
    "rnn": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
    "gru": torch.gru,
    "lstm": torch.lstm,
}
_ORDER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@ways.register("fused")
class Fused(Way):
    """torch.nn.RNN, GRU or LSTM's own function for each network of the pack in turn."""

    @classmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        return None if cell.name in _LAYERS else "torch.nn has no such layer"

    def hidden(
        self,
        parameters: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        inputs: Tensor,
        noise: Tensor | None = None,
    ) -> Tensor:
        layer = _LAYERS[self.cell.name]
        like = parameters["weight_ih"]
        start = like.new_zeros(1, inputs.shape[2], self.cell.units)
        state: Any = (start, start) if self.cell.name == "lstm" else start
        hidden = []
        # unbind, not indexing: the backward pass of an index would write the whole pack once per network.
        weights = zip(*(parameters[name].unbind(0) for name in _ORDER), strict=True)
        for own_inputs, own_weights in zip(inputs.unbind(0), weights, strict=True):
            if not inputs.is_floating_point():
                own_inputs = functional.one_hot(own_inputs.long(), self.cell.input_size).to(like.dtype)
            outputs = layer(own_inputs, state, own_weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)[0]
            hidden.append(outputs if self.readout == "every" else outputs[-1])
        return torch.stack(hidden)
