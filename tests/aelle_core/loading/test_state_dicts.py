"""State dicts that are not plain torch's: refused by name, or read as they run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aelle_core.foundation.errors import UserError
from aelle_core.loading.networks import load_network


def saved(path: Path, layer: nn.Module, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], **more: str) -> Path:
    state = {key: value.detach().clone() for key, value in layer.named_parameters()}
    save_file(change(state), path, metadata=more or None)
    return path


@pytest.mark.parametrize("kept", ["bias_ih_l0", "bias_hh_l0"])
def test_one_bias_alone_is_refused(tmp_path: Path, kept: str) -> None:
    missing = "bias_hh_l0" if kept == "bias_ih_l0" else "bias_ih_l0"
    path = saved(
        tmp_path / "a.safetensors", nn.LSTM(2, 3), lambda state: {k: v for k, v in state.items() if k != missing}
    )
    with pytest.raises(UserError, match=f"{missing} is missing"):
        load_network(path)


def test_a_tensor_that_torchs_layer_has_not_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", nn.GRU(2, 3), lambda state: {**state, "ln.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"ln\.weight, which torch's layer has not"):
        load_network(path)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_weights_of_another_kind_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    path = saved(tmp_path / "a.safetensors", nn.LSTM(2, 3), lambda state: {k: v.to(dtype) for k, v in state.items()})
    with pytest.raises(UserError, match=f"{dtype}: expected real numbers"):
        load_network(path)


def test_the_widest_of_several_types_is_kept(tmp_path: Path) -> None:
    layer = nn.GRU(2, 3)
    path = saved(
        tmp_path / "a.safetensors", layer, lambda state: {**state, "bias_ih_l0": state["bias_ih_l0"].double() / 3}
    )
    network, _ = load_network(path)
    assert isinstance(network, nn.GRU)
    assert torch.equal(network.bias_ih_l0, layer.bias_ih_l0.double() / 3)


def test_an_rnn_needs_its_nonlinearity(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", nn.RNN(2, 3, nonlinearity="relu"), dict)
    with pytest.raises(UserError, match="expected --nonlinearity tanh or relu"):
        load_network(path)
    for given in ("relu", "tanh"):
        network, _ = load_network(path, nonlinearity=given)
        assert isinstance(network, nn.RNN)
        assert network.nonlinearity == given
    with pytest.raises(UserError, match="nonlinearity 'gelu' was given"):
        load_network(path, nonlinearity="gelu")
    labelled = saved(tmp_path / "b.safetensors", nn.RNN(2, 3, nonlinearity="relu"), dict, nonlinearity="relu")
    network, _ = load_network(labelled)
    assert isinstance(network, nn.RNN)
    assert network.nonlinearity == "relu"
