"""The framework's own recurrent layers, one network at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell
from aelle_core.training.mini_batches import MiniBatch
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

    def hidden(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], batch: MiniBatch) -> Tensor:
        layer, inputs, cuts = _LAYERS[self.cell.name], batch.inputs, batch.cuts
        like = parameters["weight_ih"]
        start = like.new_zeros(1, inputs.shape[2], self.cell.units)
        lstm, gradients = self.cell.name == "lstm", torch.is_grad_enabled()
        state: Any = (start, start) if lstm else (start,)
        hidden = []
        # unbind, not indexing: the backward pass of an index would write the whole pack once per network.
        weights = zip(*(parameters[name].unbind(0) for name in _ORDER), strict=True)
        for network, (own_inputs, own_weights) in enumerate(zip(inputs.contiguous().unbind(0), weights, strict=True)):
            if not inputs.is_floating_point():
                own_inputs = functional.one_hot(own_inputs.long(), self.cell.input_size).to(like.dtype)
            ends = [step + 1 for step in sorted(cuts) if cuts[step][network]]
            own_state, outputs = state, []
            for stretch in own_inputs.tensor_split(ends):
                own_state = tuple(part.detach() for part in own_state)
                output, *own_state = layer(
                    stretch, own_state if lstm else own_state[0], own_weights, True, 1, 0.0, gradients, False, False
                )
                outputs.append(output)
            hidden.append(torch.cat(outputs) if self.readout == "every" else outputs[-1][-1])
        return torch.stack(hidden)
