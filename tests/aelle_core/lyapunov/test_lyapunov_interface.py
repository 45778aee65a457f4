"""What `lyapunov_spectrum` takes, refuses and returns."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import pack_spectra
from tests.helpers.spectra import stacked

INPUTS = torch.randn(3, 8, 2, generator=generator(0, "test"))


def network(name: str = "gru", units: int = 4) -> Network:
    cell = get_cell(name, 2, units)
    return Network(cell, cell.initialise(generator(0, "weights"), 0.5))


@pytest.mark.parametrize(
    ("layer", "full", "hidden"),
    [
        (nn.RNN(2, 4, batch_first=True), 4, 4),
        (nn.GRU(2, 4, batch_first=True, bias=False), 4, 4),
        (nn.LSTM(2, 4, num_layers=2, batch_first=True), 16, 8),
        (nn.LSTMCell(2, 4), 8, 4),
        (nn.GRUCell(2, 4), 4, 4),
        (nn.RNNCell(2, 4, nonlinearity="relu"), 4, 4),
    ],
)
def test_torch_layers(layer: nn.Module, full: int, hidden: int) -> None:
    assert lyapunov_spectrum(layer, INPUTS).exponents.shape == (full,)
    assert lyapunov_spectrum(layer, INPUTS, jacobian="hidden").exponents.shape == (hidden,)


def test_inputs_stand_as_the_layer_takes_them() -> None:
    layer = nn.GRU(2, 4)
    other = nn.GRU(2, 4, batch_first=True)
    other.load_state_dict(layer.state_dict())
    second = lyapunov_spectrum(other, INPUTS)
    for turned in (INPUTS.transpose(0, 1), INPUTS.transpose(0, 1).numpy()):
        first = lyapunov_spectrum(layer, turned)
        np.testing.assert_array_equal(first.per_sequence, second.per_sequence)


class Classifier(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 3)
        self.memory = nn.LSTM(3, 4, batch_first=batch_first)
        self.read = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed(x)
        states, _ = self.memory(embedded if self.memory.batch_first else embedded.transpose(0, 1))
        return self.read(states)


@pytest.mark.parametrize("batch_first", [True, False])
def test_module_around_a_recurrent_layer(batch_first: bool) -> None:
    model = Classifier(batch_first)
    spectrum = lyapunov_spectrum(model, INPUTS)
    embedded = model.embed(INPUTS)
    expected = lyapunov_spectrum(model.memory, embedded if batch_first else embedded.transpose(0, 1))
    np.testing.assert_allclose(spectrum.exponents, expected.exponents, atol=1e-6)
    named = lyapunov_spectrum(model, INPUTS, layer="memory")
    np.testing.assert_array_equal(named.exponents, spectrum.exponents)


def test_module_with_several_layers_needs_a_name() -> None:
    model = nn.ModuleDict({"a": nn.GRU(2, 3), "b": nn.GRU(2, 3)})
    with pytest.raises(UserError, match=r"holds 2 recurrent layers: expected layer= one of \['a', 'b'\]"):
        lyapunov_spectrum(model, INPUTS)


def test_result_is_complete() -> None:
    spectrum = lyapunov_spectrum(network(), INPUTS, warmup=2)
    assert spectrum.status == "ok"
    assert spectrum.steps == 6
    assert spectrum.per_sequence.shape == (3, 4)
    np.testing.assert_allclose(spectrum.per_sequence.mean(axis=0), spectrum.exponents)
    np.testing.assert_allclose(spectrum.per_sequence.std(axis=0, ddof=1) / 3**0.5, spectrum.stderr)
    assert (np.diff(spectrum.exponents) <= 0).all()
    assert spectrum.maximum == spectrum.exponents[0]
    assert spectrum.mean == pytest.approx(spectrum.exponents.mean())
    assert spectrum.interpolate(7).shape == (7,)
    assert spectrum.interpolate(7)[[0, -1]] == pytest.approx(spectrum.exponents[[0, -1]])
    assert "nats/step" in repr(spectrum)


def test_leading_exponents_equal_those_of_the_whole() -> None:
    inputs = torch.randn(2, 400, 2, generator=generator(1, "test"))
    whole = lyapunov_spectrum(network(), inputs, warmup=50)
    leading = lyapunov_spectrum(network(), inputs, warmup=50, k=2)
    np.testing.assert_allclose(leading.exponents, whole.exponents[:2], rtol=1e-10)
    assert np.isnan(leading.sum_rule_residual)


def test_numpy_inputs_and_fast_precision() -> None:
    exact = lyapunov_spectrum(network(), INPUTS.numpy())
    fast = lyapunov_spectrum(network(), INPUTS, precision="fast")
    np.testing.assert_allclose(fast.exponents, exact.exponents, atol=1e-4)


def test_initial_state_in_both_forms() -> None:
    layer = nn.LSTM(2, 4, num_layers=2, batch_first=True)
    h, c = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    joined = torch.cat([h[0], c[0], h[1], c[1]], dim=-1)
    first = lyapunov_spectrum(layer, INPUTS, initial_state=(h, c))
    second = lyapunov_spectrum(layer, INPUTS, initial_state=joined)
    np.testing.assert_array_equal(first.exponents, second.exponents)
    assert not np.allclose(first.exponents, lyapunov_spectrum(layer, INPUTS).exponents)


def test_dead_directions_are_counted() -> None:
    given = network("rnn_relu")
    parameters = {**given.parameters, "bias_ih": torch.tensor([9.0, 9.0, -99.0, -99.0])}
    spectrum = lyapunov_spectrum(Network(given.cell, parameters), INPUTS)
    assert spectrum.dead_directions == 2
    assert np.isneginf(spectrum.exponents[-2:]).all()
    assert spectrum.sum_rule_residual == 0.0
    assert spectrum.mean == -np.inf
    assert spectrum.resolved is not None
    assert spectrum.resolved.all()


@pytest.mark.parametrize("seed", [51, 35])
def test_sparse_relu_network_in_which_early_directions_die(seed: int) -> None:
    """The largest exponent against the norm of the product of all Jacobians."""
    source = np.random.default_rng(seed)
    density = source.choice([0.2, 0.3, 0.5])
    recurrent = source.standard_normal((6, 6)) * (source.random((6, 6)) < density) * 1.68 / np.sqrt(6 * density)
    by_input, bias = source.standard_normal((6, 1)), source.uniform(0, 1, 6)
    inputs = source.standard_normal((1, 60, 1)) * 2
    parameters = {"weight_ih": by_input, "weight_hh": recurrent, "bias_ih": bias, "bias_hh": np.zeros(6)}
    given = Network(get_cell("rnn_relu", 1, 6), {name: torch.tensor(value) for name, value in parameters.items()})
    state, product, scale = np.zeros(6), np.eye(6), 0.0
    for x in inputs[0]:
        a = by_input @ x + bias + recurrent @ state
        state = np.maximum(a, 0)
        product = (a > 0)[:, None] * recurrent @ product
        scale += np.log(np.linalg.norm(product))
        product /= np.linalg.norm(product)
    spectrum = lyapunov_spectrum(given, inputs)
    assert spectrum.maximum == pytest.approx(scale / 60, abs=0.1)
    assert spectrum.maximum > -1


def test_relu_network_of_low_rank() -> None:
    """Directions that die without a unit at rest leave rounding noise in their place: it is not taken for exponents."""
    source = generator(0, "test")
    left, right = torch.randint(1, 9, (6, 2), generator=source), torch.randint(1, 9, (2, 6), generator=source)
    low = (left @ right).double() / 64  # of rank 2 without any rounding
    cell = get_cell("rnn_relu", 2, 6)
    rest = {"weight_ih": torch.ones(6, 2), "bias_ih": torch.ones(6), "bias_hh": torch.zeros(6)}
    spectrum = lyapunov_spectrum(Network(cell, {**rest, "weight_hh": low}), torch.rand(2, 5, 2, generator=source))
    assert spectrum.resolved is not None
    assert spectrum.resolved.tolist() == [True, True, False, False, False, False]


def test_underflow_is_not_taken_for_a_dead_direction() -> None:
    """sech^2 of a thousand underflows: the exponent is some -2000, not -inf, and must not be marked resolved."""
    given = network("rnn")
    parameters = {**given.parameters, "bias_ih": torch.tensor([0.0, 0.0, 0.0, 1000.0])}
    spectrum = lyapunov_spectrum(Network(given.cell, parameters), INPUTS)
    assert spectrum.dead_directions == 1
    assert spectrum.resolved is not None
    assert spectrum.resolved.tolist() == [True, True, True, False]


def test_non_finite_network_is_a_status_and_leaves_its_pack_alone() -> None:
    cell = get_cell("lstm", 2, 4)
    drawn = [cell.initialise(generator(seed, "weights"), 0.5) for seed in range(3)]
    drawn[1]["weight_hh"][0, 0] = float("nan")
    pack = Network(cell, stacked(drawn))
    results = pack_spectra(pack, INPUTS)
    assert [spectrum.status for spectrum in results] == ["ok", "non-finite", "ok"]
    assert np.isnan(results[1].exponents).all()
    alone = lyapunov_spectrum(Network(cell, drawn[2]), INPUTS)
    np.testing.assert_allclose(results[2].exponents, alone.exponents, rtol=1e-10)
    assert lyapunov_spectrum(Network(cell, drawn[1]), INPUTS).status == "non-finite"


def test_one_step_and_one_unit() -> None:
    spectrum = lyapunov_spectrum(network("rnn", units=1), INPUTS[:1, :1])
    assert spectrum.exponents.shape == (1,)
    assert np.isnan(spectrum.stderr).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": INPUTS[..., :1]}, r"shape \(3, 8, 1\): expected \(batch, time, 2\)"),
        ({"inputs": INPUTS[0]}, r"shape \(8, 2\)"),
        ({"inputs": INPUTS * float("inf")}, "NaN or infinity"),
        ({"inputs": [[1.0]]}, r"inputs\[0\] is a list: expected a tensor"),
        ({"inputs": INPUTS + 1j}, "expected real numbers"),
        ({"inputs": None}, "needs inputs"),
        ({"inputs": INPUTS, "warmup": 8}, "warmup=8: expected a whole number from 0 to 7"),
        ({"inputs": INPUTS, "k": 5}, "k=5: expected a whole number from 1 to 4"),
        ({"inputs": INPUTS, "k": 0}, "k=0"),
        ({"inputs": INPUTS, "device": "nowhere"}, "device='nowhere': expected 'cpu'"),
        ({"inputs": INPUTS, "device": "meta:x"}, "device='meta:x'"),
        ({"inputs": INPUTS, "steps": 9}, "steps=9: expected 1 to 8"),
        ({"inputs": INPUTS, "jacobian": "half"}, "jacobian='half': expected one of 'full', 'hidden'"),
        ({"inputs": INPUTS, "precision": "half"}, "precision='half'"),
        ({"inputs": INPUTS, "initial_state": torch.zeros(3, 5)}, r"shape \(3, 5\): expected \(3, 4\)"),
        ({"inputs": INPUTS, "layer": "memory"}, "layer='memory'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lyapunov_spectrum(network(), **arguments)


@pytest.mark.parametrize(
    ("system", "arguments", "message"),
    [
        (nn.LSTM(2, 4, bidirectional=True), {"inputs": INPUTS}, "bidirectional"),
        (nn.LSTM(2, 4, proj_size=2), {"inputs": INPUTS}, "proj_size=2"),
        ("a text", {"inputs": INPUTS}, "system is a str"),
        (nn.LSTM, {}, "system is the class LSTM: expected an instance of it"),
        (
            nn.Sequential(nn.Linear(2, 3)),
            {},
            r"Sequential holds no recurrent layer of torch \(Linear\): expected one",
        ),
        (lambda x, s: s, {"steps": 5}, "initial_state is NoneType"),
        (lambda x, s: s, {"initial_state": torch.ones(1, 2)}, "steps=None: an autonomous map"),
        (lambda x, s: s[:, :1], {"initial_state": torch.ones(1, 2), "steps": 5}, r"returned torch.float64 \(1, 1\)"),
        (lambda x, s: s, {"initial_state": torch.ones(1, 2), "steps": 5, "jacobian": "hidden"}, "one state"),
        (nn.Linear(2, 2).forward.__get__(nn.Linear(2, 2)), {"inputs": INPUTS}, "initial_state"),
    ],
)
def test_bad_systems_are_refused(system: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lyapunov_spectrum(system, **arguments)


def test_float32_step_function_is_told_what_to_do() -> None:
    weights = torch.eye(2)
    with pytest.raises(UserError, match="precision='fast'"):
        lyapunov_spectrum(lambda _, s: s @ weights, steps=3, initial_state=torch.ones(1, 2))
    fast = lyapunov_spectrum(lambda _, s: s @ weights, steps=3, initial_state=torch.ones(1, 2), precision="fast")
    assert fast.exponents.tolist() == [0.0, 0.0]


def test_a_pack_is_refused_with_the_right_function_named() -> None:
    given = network()
    pack = Network(given.cell, {name: value[None] for name, value in given.parameters.items()})
    with pytest.raises(UserError, match="pack_spectra"):
        lyapunov_spectrum(pack, INPUTS)


def test_plot_draws_every_finite_exponent() -> None:
    import matplotlib

    matplotlib.use("agg")
    axes = lyapunov_spectrum(network(), INPUTS).plot()
    assert len(axes.lines[1].get_xdata()) == 4


def test_a_plot_needs_no_window_where_a_notebooks_backend_is_missing() -> None:
    """MPLBACKEND of a notebook's terminal names a module of the notebook's environment."""
    code = (
        "from types import SimpleNamespace as S; import numpy as np\n"
        "from aelle_core.lyapunov.plots import _axes\n"
        "axes = _axes(None); axes.plot([0, 1]); axes.figure.savefig('/dev/null', format='png')\n"
    )
    environment = os.environ | {"MPLBACKEND": "module://no_such_notebook.backend_inline"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
