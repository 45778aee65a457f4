"""torch.nn's own recurrent layers with a readout: how a network of these cells is trained in practice."""

from typing import Any

from torch import Tensor, nn

_LAYERS: dict[str, tuple[type[nn.RNNBase], dict[str, Any]]] = {
    "rnn": (nn.RNN, {}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}
CELLS = tuple(_LAYERS)


class Layer(nn.Module):
    """Class scores (batch, classes) from the hidden state after the last step of inputs (batch, time, features)."""

    def __init__(self, cell: str, features: int, units: int, classes: int) -> None:
        super().__init__()
        kind, options = _LAYERS[cell]
        self.recurrent = kind(features, units, batch_first=True, **options)
        self.readout = nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.recurrent(x)[0][:, -1])
