"""Weights to and from torch.nn's recurrent layers, for the cells that follow their conventions."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from aelle_core.cells.base import Cell, Network, get_cell
from aelle_core.errors import UserError

_LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
_SINGLE_CELLS: dict[type[nn.RNNCellBase], str] = {nn.RNNCell: "rnn", nn.GRUCell: "gru", nn.LSTMCell: "lstm"}


def _cell_name(name: str, module: nn.RNNBase | nn.RNNCellBase) -> str:
    return "rnn_relu" if getattr(module, "nonlinearity", "tanh") == "relu" else name


def from_torch(module: nn.Module) -> list[Network]:
    """The layers of a torch.nn.RNN, GRU or LSTM (or the one of an RNNCell, GRUCell or LSTMCell), bottom first, as
    Networks over copies of the weights.

    Raises UserError for bidirectional layers and projections, which are other dynamical systems, and for any
    other module.
    """
    if isinstance(module, nn.RNNCellBase):
        name = _cell_name(_SINGLE_CELLS[type(module)], module)
        cell = get_cell(name, module.input_size, module.hidden_size)
        return [Network(cell, _with_biases(cell, dict(module.named_parameters())))]
    if not isinstance(module, nn.RNNBase):
        raise UserError(
            f"{type(module).__name__} is not a torch recurrent layer: expected RNN, GRU, LSTM or one of their cells"
        )
    if module.bidirectional:
        raise UserError(
            f"{type(module).__name__} is bidirectional: a spectrum needs one direction of time; "
            "expected bidirectional=False"
        )
    if getattr(module, "proj_size", 0):
        raise UserError(f"{type(module).__name__} has proj_size={module.proj_size}: expected no projection (0)")
    name = _cell_name(module.mode.lower().split("_")[0], module)
    networks = []
    for layer in range(module.num_layers):
        cell = get_cell(name, module.input_size if layer == 0 else module.hidden_size, module.hidden_size)
        suffix = f"_l{layer}"
        given = {key.removesuffix(suffix): value for key, value in module.named_parameters() if key.endswith(suffix)}
        networks.append(Network(cell, _with_biases(cell, given)))
    return networks


def _with_biases(cell: Cell, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the parameters; a layer made with bias=False has zeros for biases."""
    weight = parameters["weight_hh"]
    return {
        name: parameters[name].detach().clone() if name in parameters else weight.new_zeros(shape)
        for name, shape in cell.parameter_shapes().items()
    }


def to_torch(network: Network) -> nn.RNNBase:
    """A torch.nn.RNN, GRU or LSTM (batch_first) with a copy of one network's weights.

    Raises UserError when the cell has no counterpart in torch.nn, or for a pack of networks.
    """
    cell = network.cell
    if cell.name not in _LAYERS:
        raise UserError(f"cell {cell.name!r} has no torch.nn layer: expected one of {', '.join(_LAYERS)}")
    if network.packed:
        raise UserError("to_torch was given a pack of networks: expected the parameters of one")
    options = {"nonlinearity": "relu"} if cell.name == "rnn_relu" else {}
    layer = _LAYERS[cell.name](cell.input_size, cell.units, batch_first=True, **options)
    layer.to(next(iter(network.parameters.values())).dtype)
    layer.load_state_dict({f"{name}_l0": network.parameters[name].detach() for name in cell.parameter_shapes()})
    return layer
