"""Weights to and from torch.nn's recurrent layers, for the cells that follow their conventions."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.weight_norm import WeightNorm

from aelle_core.cells.base import Cell, Network, get_cell
from aelle_core.foundation.errors import UserError

_LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
_SINGLE_CELLS: dict[type[nn.RNNCellBase], str] = {nn.RNNCell: "rnn", nn.GRUCell: "gru", nn.LSTMCell: "lstm"}


def _cell_name(name: str, module: nn.RNNBase | nn.RNNCellBase) -> str:
    return "rnn_relu" if getattr(module, "nonlinearity", "tanh") == "relu" else name


def from_torch(module: nn.Module) -> list[Network]:
    """Return the layers of a torch.nn.RNN, GRU or LSTM (or the one of an RNNCell, GRUCell or LSTMCell), bottom first,
    as Networks over copies of the weights.

    Raises UserError for bidirectional layers and projections, which are other dynamical systems, and for any
    other module.
    """
    single = next((name for kind, name in _SINGLE_CELLS.items() if isinstance(module, kind)), None)
    if isinstance(module, nn.RNNCellBase) and single is not None:
        cell = get_cell(_cell_name(single, module), module.input_size, module.hidden_size)
        return [Network(cell, _copies(cell, module, ""))]
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
        networks.append(Network(cell, _copies(cell, module, f"_l{layer}")))
    return networks


def _copies(cell: Cell, module: nn.RNNBase | nn.RNNCellBase, suffix: str) -> dict[str, Tensor]:
    """Return copies of the weights that the module computes with; a layer made with bias=False has zeros for biases.

    Attributes are read, not named_parameters: those leave out tied weights and name pruned or parametrised ones
    otherwise.
    """
    copies: dict[str, Tensor] = {}
    for name, shape in cell.parameter_shapes().items():
        if name.startswith("bias") and not module.bias:
            copies[name] = copies["weight_hh"].new_zeros(shape)
        else:
            copies[name] = _current(module, name + suffix).detach().clone()
    return copies


def _current(module: nn.Module, name: str) -> Tensor:
    """Return a weight as the next forward pass has it: pruning and the older weight_norm renew the attribute only
    then."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook.apply_mask(module)
        if isinstance(hook, WeightNorm) and hook.name == name:
            return hook.compute_weight(module)
    weight: Tensor = getattr(module, name)
    return weight


def to_torch(network: Network) -> nn.RNNBase:
    """Return a torch.nn.RNN, GRU or LSTM (batch_first) with a copy of one network's weights.

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
