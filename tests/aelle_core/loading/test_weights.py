"""Networks from files: a program of torch.export gives the spectrum of the module that it was made from, a file that
means harm does none, and what does not fit is refused with one sentence."""

import copy
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.loading.networks import Loaded, load, load_array, load_network

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch.export, about recurrent layers
TOLERANCE = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def export(path: Path, module: nn.Module, *examples: Any, dynamic: Any = None) -> Path:
    program = torch.export.export(module, examples, dynamic_shapes=dynamic)
    torch.export.save(program, path)
    return path


def array(path: Path, values: Any) -> Path:
    np.save(path, np.asarray(values))
    return path


def spectrum(loaded: Loaded, **options: Any) -> np.ndarray:
    computed = lyapunov_spectrum(loaded.system, loaded.inputs, initial_state=loaded.initial_state, **options)
    assert computed.status == "ok"
    return computed.exponents


def sequences(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


class Model(nn.Module):
    """Linear, a recurrent layer, Linear."""

    def __init__(self, kind: Callable[..., nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 4)
        self.layer = kind(4, 5, **options)
        self.decoder = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.layer(torch.tanh(self.encoder(x)))[0])


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [(nn.LSTM, {"num_layers": 2}), (nn.GRU, {"bias": False}), (nn.RNN, {}), (nn.RNN, {"nonlinearity": "relu"})],
)
def test_a_layer_inside_a_program(
    tmp_path: Path, kind: Callable[..., nn.RNNBase], options: dict[str, Any], batch_first: bool
) -> None:
    model = Model(kind, batch_first=batch_first, **options)
    path = export(tmp_path / "model.pt2", model, torch.zeros(2, 2, 3))  # other sizes than it is used with
    inputs = sequences(4, 20, 3) if batch_first else sequences(20, 4, 3)
    loaded = load(path, array(tmp_path / "x.npy", inputs))
    assert loaded.inputs is not None
    assert loaded.inputs.shape == (4, 20, 4)
    expected = lyapunov_spectrum(model, torch.from_numpy(inputs)).exponents
    np.testing.assert_allclose(spectrum(loaded), expected, **TOLERANCE)


def test_a_bare_layer_in_double_with_state_inputs(tmp_path: Path) -> None:
    layer = nn.LSTM(3, 5, batch_first=True).double()
    zeros = torch.zeros(1, 2, 5, dtype=torch.float64)
    path = export(tmp_path / "lstm.pt2", layer, torch.zeros(2, 7, 3, dtype=torch.float64), (zeros, zeros))
    inputs = sequences(4, 20, 3)
    loaded = load(path, array(tmp_path / "x.npy", inputs))
    np.testing.assert_allclose(spectrum(loaded), lyapunov_spectrum(layer, inputs).exponents, **TOLERANCE)
    state = sequences(4, 10)
    loaded = load(path, tmp_path / "x.npy", initial_state=array(tmp_path / "state.npy", state))
    expected = lyapunov_spectrum(layer, inputs, initial_state=state).exponents
    np.testing.assert_allclose(spectrum(loaded), expected, **TOLERANCE)


class Tokens(nn.Module):
    """Character codes, normalised and dropped out, into a GRU with a learned initial state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.normal, self.drop = nn.Embedding(11, 3), nn.BatchNorm1d(3), nn.Dropout()
        self.layer = nn.GRU(3, 4)
        self.start = nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, codes: Tensor) -> Tensor:
        x = self.drop(self.normal(self.embedding(codes).mT)).permute(2, 0, 1)
        with torch.no_grad():
            x = x * 2
        return self.layer(x, self.start.expand(-1, codes.shape[0], -1))[0]


def test_tokens_a_learned_state_and_layers_that_behave_otherwise_in_training(tmp_path: Path) -> None:
    model = Tokens()
    path = export(tmp_path / "model.pt2", model, torch.zeros(2, 20, dtype=int), dynamic=({0: torch.export.Dim("b")},))
    codes = np.random.default_rng(0).integers(0, 11, (4, 20))
    start = model.start.detach().expand(-1, 4, -1)
    expected = lyapunov_spectrum(model, torch.from_numpy(codes), initial_state=start).exponents
    loaded = load(path, array(tmp_path / "x.npy", codes))
    np.testing.assert_allclose(spectrum(loaded), expected, **TOLERANCE)
    with pytest.raises(UserError, match=r"inputs have dtype float64: .* takes torch.int64"):
        load(path, array(tmp_path / "x.npy", codes * 1.0))


class Centred(nn.Module):
    """Sequences less their mean, by a sum over the length that export writes down as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.RNN(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x - x.sum(1, keepdim=True) / x.shape[1])[0]


def test_a_learned_state_in_a_program_for_another_batch(tmp_path: Path) -> None:
    model = Tokens()
    path = export(tmp_path / "model.pt2", model, torch.zeros(4, 20, dtype=int))
    codes = np.random.default_rng(0).integers(0, 11, (4, 20))
    start: Any = load(path, array(tmp_path / "x.npy", codes)).initial_state
    torch.testing.assert_close(start, model.start.detach().expand(-1, 4, -1))


class Looking(nn.Module):
    """An RNN whose initial state is computed from the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.look = nn.RNN(3, 4), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(x), self.look(x[:1]))[0]


def test_a_state_that_depends_on_the_inputs(tmp_path: Path) -> None:
    model, inputs = Looking(), sequences(20, 4, 3)
    path = export(tmp_path / "model.pt2", model, torch.zeros(20, 4, 3))
    loaded = load(path, array(tmp_path / "x.npy", inputs))
    start = model.look(torch.from_numpy(inputs[:1])).detach()
    torch.testing.assert_close(loaded.initial_state, start)
    expected = lyapunov_spectrum(model, torch.from_numpy(inputs), initial_state=start).exponents
    np.testing.assert_allclose(spectrum(loaded), expected, **TOLERANCE)
    with pytest.raises(UserError, match=r"was exported for \(20, 4, 3\), and its operations may depend on these sizes"):
        load(path, array(tmp_path / "x.npy", sequences(21, 4, 3)))


def test_sizes_that_were_written_into_the_program_are_kept(tmp_path: Path) -> None:
    model = Centred()
    path = export(tmp_path / "model.pt2", model, torch.zeros(4, 20, 3), dynamic=({0: torch.export.Dim("b")},))
    inputs = sequences(6, 20, 3)
    expected = lyapunov_spectrum(model, torch.from_numpy(inputs)).exponents
    np.testing.assert_allclose(spectrum(load(path, array(tmp_path / "x.npy", inputs))), expected, **TOLERANCE)
    with pytest.raises(UserError, match=r"\(6, 21, 3\): .*model.pt2' was exported for \(any, 20, 3\)"):
        load(path, array(tmp_path / "x.npy", sequences(6, 21, 3)))


class Two(nn.Module):
    """One layer on another, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.lower, self.upper = nn.GRU(3, 4, batch_first=True), nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.upper(self.lower(x)[0])[0]


def test_a_layer_of_several_by_its_name(tmp_path: Path) -> None:
    model, inputs = Two(), sequences(4, 20, 3)
    path, x = export(tmp_path / "model.pt2", model, torch.zeros(4, 20, 3)), array(tmp_path / "x.npy", inputs)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    for name in ("lower", "upper"):
        expected = lyapunov_spectrum(model, torch.from_numpy(inputs), layer=name).exponents
        np.testing.assert_allclose(spectrum(load(path, x, layer=name)), expected, **TOLERANCE)
    expected = lyapunov_spectrum(model.lower, inputs).exponents
    by_weights = spectrum(load(tmp_path / "model.safetensors", x, layer="lower"))
    np.testing.assert_allclose(by_weights, expected, **TOLERANCE)
    for source in (path, tmp_path / "model.safetensors"):
        with pytest.raises(UserError, match=r"2 recurrent layers.*--layer, one of \['lower', 'upper'\]"):
            load(source, x)
        with pytest.raises(UserError, match="layer 'middle'"):
            load(source, x, layer="middle")


class Step(nn.Module):
    """A residual network as step(x, state), with constants, in-place operations and sizes of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.encoder = nn.Parameter(torch.randn(6, 6)), nn.Linear(3, 6)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        drive = torch.zeros(state.shape[0], 6) + self.encoder(x) + torch.tensor([0.5] * 6)
        skew = self.weight - self.weight.T
        new = state + 0.1 * torch.tanh(state @ skew.T + drive)
        return nn.functional.leaky_relu(new, 0.3, inplace=True).to(state.dtype)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("module", [Step(), nn.GRUCell(3, 6)], ids=["residual", "gru"])
def test_a_step_function(tmp_path: Path, module: nn.Module, dynamic: bool) -> None:
    batch = torch.export.Dim("batch")
    shapes = ({0: batch}, {0: batch}) if dynamic else None
    path = export(tmp_path / "step.pt2", module, torch.zeros(2, 3), torch.zeros(2, 6), dynamic=shapes)
    inputs, state = sequences(4, 20, 3), sequences(4, 6)
    x, start = array(tmp_path / "x.npy", inputs), array(tmp_path / "state.npy", state)
    double = copy.deepcopy(module).double().forward  # as a function: single cells have a way of their own
    expected = lyapunov_spectrum(double, inputs, initial_state=state).exponents
    loaded = load(path, x, initial_state=start)
    np.testing.assert_allclose(spectrum(loaded), expected, **TOLERANCE)
    np.testing.assert_allclose(spectrum(loaded, precision="fast"), expected, rtol=1e-3, atol=1e-3)
    expected = lyapunov_spectrum(double, inputs, initial_state=np.zeros((4, 6))).exponents
    np.testing.assert_allclose(spectrum(load(path, x)), expected, **TOLERANCE)  # zeros by default


def test_a_step_of_several_parts(tmp_path: Path) -> None:
    cell, inputs = nn.LSTMCell(3, 4), sequences(4, 20, 3)
    path = export(tmp_path / "cell.pt2", cell, torch.zeros(4, 3), (torch.zeros(4, 4), torch.zeros(4, 4)))
    loaded = load(path, array(tmp_path / "x.npy", inputs))
    np.testing.assert_allclose(spectrum(loaded), lyapunov_spectrum(cell, inputs).exponents, **TOLERANCE)


class Mixing(nn.Module):
    """A step in which the rows of a batch of two see each other."""

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return torch.tanh(state + 0.5 * state.flip(0) + x)


def test_a_step_that_is_bound_to_its_batch_keeps_it(tmp_path: Path) -> None:
    path = export(tmp_path / "step.pt2", Mixing(), torch.zeros(2, 3), torch.zeros(2, 3))
    step: Any = load(path, array(tmp_path / "x.npy", sequences(6, 20, 3))).system
    x, state = torch.from_numpy(sequences(6, 3)), torch.from_numpy(sequences(6, 3) + 1)
    expected = torch.cat([Mixing()(x[rows], state[rows]) for rows in (slice(0, 2), slice(2, 4), slice(4, 6))])
    torch.testing.assert_close(step(x, state), expected)
    with pytest.raises(UserError, match=r"5 sequences were given: .* exported for batches of 2; expected a multiple"):
        load(path, array(tmp_path / "x.npy", sequences(5, 20, 3)))


class Henon(nn.Module):
    """Exponents 0.42 and -1.62, whose sum is log 0.3."""

    def forward(self, state: Tensor) -> Tensor:
        x, y = state.unbind(-1)
        return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x], dim=-1)


def test_a_map_without_inputs(tmp_path: Path) -> None:
    path = export(tmp_path / "henon.pt2", Henon(), torch.zeros(1, 2))
    loaded = load(path, None, initial_state=array(tmp_path / "origin.npy", np.zeros((1, 2))))
    exponents = spectrum(loaded, steps=2100, warmup=100)
    assert abs(exponents[0] - 0.42) < 0.02
    assert abs(exponents.sum() - np.log(0.3)) < 1e-9
    with pytest.raises(UserError, match=r"no state to start .* expected --initial-state, an .npy \(batch, 2\)"):
        load(path, None)
    with pytest.raises(UserError, match=r"inputs were given: .* maps a state alone"):
        load(path, array(tmp_path / "x.npy", sequences(1, 5, 2)))


class Noisy(nn.Module):
    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return torch.tanh(state + torch.randn_like(state))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(state + self.calls)


@pytest.mark.parametrize(
    ("module", "examples", "message"),
    [
        (nn.LSTM(3, 4, bidirectional=True, batch_first=True), [(2, 7, 3)], "is bidirectional"),
        (nn.LSTM(3, 4, proj_size=2, batch_first=True), [(2, 7, 3)], "has projections"),
        (nn.Linear(3, 4), [(2, 3)], r"takes \(2, 3\) and returns \(2, 4\): expected a program that holds"),
        (Noisy(), [(2, 3), (2, 4)], "it draws random numbers"),
        (Counting(), [(2, 3), (2, 4)], "it keeps a state of its own in 'calls'"),
    ],
    ids=["bidirectional", "projections", "linear", "noisy", "counting"],
)
def test_programs_without_a_spectrum(
    tmp_path: Path, module: nn.Module, examples: list[tuple[int, ...]], message: str
) -> None:
    path = export(tmp_path / "model.pt2", module, *(torch.zeros(shape) for shape in examples))
    with pytest.raises(UserError, match=message):
        load(path, array(tmp_path / "x.npy", sequences(2, 7, 3)))


def test_a_layer_that_was_unrolled(tmp_path: Path) -> None:
    program = torch.export.export(nn.LSTM(3, 4, batch_first=True), (torch.zeros(2, 3, 3),)).run_decompositions()
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(UserError, match="not one unrolled by run_decompositions"):
        load(tmp_path / "model.pt2", array(tmp_path / "x.npy", sequences(2, 3, 3)))


def test_inputs_and_states_that_do_not_fit_a_program(tmp_path: Path) -> None:
    layer = export(tmp_path / "model.pt2", Model(nn.GRU, batch_first=True), torch.zeros(2, 7, 3))
    step = export(tmp_path / "step.pt2", Step(), torch.zeros(2, 3), torch.zeros(2, 6))
    wide, narrow = array(tmp_path / "wide.npy", sequences(2, 7, 4)), array(tmp_path / "x.npy", sequences(2, 7, 3))
    state = array(tmp_path / "state.npy", sequences(2, 5))
    with pytest.raises(UserError, match=r"inputs have shape \(2, 7, 4\): .* exported for \(any, any, 3\)"):
        load(layer, wide)
    with pytest.raises(UserError, match=r"inputs have shape \(2, 7, 4\): .* takes \(batch, time, 3\)"):
        load(step, wide)
    with pytest.raises(UserError, match=r"the initial state has shape \(2, 5\): .* needs \(batch, 6\)"):
        load(step, narrow, initial_state=state)
    for path in (layer, step):
        with pytest.raises(UserError, match="no inputs for"):
            load(path, None)
        with pytest.raises(UserError, match="is no checkpoint of this project"):
            load(path, narrow, network="gru-32-00003")
    with pytest.raises(UserError, match="is a step function; expected no layer"):
        load(step, narrow, layer="lower")


class Harm:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with other contents: `change` is given each record's name without the root, and what is in it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name.split("/", 1)[1], old.read(name)))
    return target


def pickled(harm: Harm) -> bytes:
    buffer = io.BytesIO()
    torch.save(harm, buffer)
    return buffer.getvalue()


def harmful_example(name: str, data: bytes, harm: Harm) -> bytes:
    return pickled(harm) if name == "data/sample_inputs/model.pt" else data


def harmful_size(name: str, data: bytes, harm: Harm) -> bytes:
    code = f"__import__('os').mkdir('{harm.path}')".encode()
    return re.sub(rb"Symbol\('\w+', positive=True, integer=True\)", code, data) if name == "models/model.json" else data


def harmful_guard(name: str, data: bytes, harm: Harm) -> bytes:
    if name != "models/model.json":
        return data
    return json.dumps(json.loads(data) | {"guards_code": [f"__import__('os').mkdir('{harm.path}')"]}).encode()


def harmful_weight(name: str, data: bytes, harm: Harm) -> bytes:
    if name == "data/weights/model_weights_config.json":
        return data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    return pickled(harm) if name == "data/weights/weight_0" else data


def harmful_constant(name: str, data: bytes, harm: Harm) -> bytes:
    if name != "data/constants/model_constants_config.json":
        return data
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    return json.dumps({"config": {"constant": entry}}).encode()


def calling(target: str) -> Callable[[str, bytes, Harm], bytes]:
    """An archive whose layer receives what `target` gives for a path."""

    def harmful_call(name: str, data: bytes, harm: Harm) -> bytes:
        if name != "models/model.json":
            return data
        program = json.loads(data)
        graph = program["graph_module"]["graph"]
        argument = {"name": "path", "arg": {"as_string": harm.path}, "kind": 1}
        graph["nodes"].insert(0, {"target": target, "inputs": [argument], "outputs": [{"as_tensor": {"name": "evil"}}]})
        layer = next(node for node in graph["nodes"] if node["target"] == "torch.ops.aten.lstm.input")
        layer["inputs"][0]["arg"] = {"as_tensor": {"name": "evil"}}
        return json.dumps(program).encode()

    return harmful_call


@pytest.mark.parametrize(
    ("harmful", "message"),
    [
        (harmful_example, None),  # in every archive; torch.export.load unpickles it
        (harmful_size, None),  # torch.export.load evaluates it
        (harmful_guard, None),  # the module of a loaded program executes it
        (harmful_weight, "keeps '.*' as a pickle, which is never loaded"),
        (harmful_constant, "keeps 'constant' as a pickle, which is never loaded"),
        (calling("torch.os.mkdir"), "it calls torch.os.mkdir, which is not one of torch's own tensor operations"),
        (calling("_operator.call"), "it calls _operator.call"),
        (calling("torch.ops.aten._make_dep_token.default"), "it calls torch.ops.aten._make_dep_token.default"),
        (calling("torch.ops.aten.from_file.default"), "an argument that is not understood: string"),
    ],
    ids=["example", "size", "guard", "weight", "constant", "system", "operator", "private", "file"],
)
def test_a_program_that_means_harm_does_none(
    tmp_path: Path, harmful: Callable[[str, bytes, Harm], bytes], message: str | None
) -> None:
    layer, inputs = nn.LSTM(3, 4, batch_first=True), sequences(3, 7, 3)
    dynamic = ({0: torch.export.Dim("b")},)
    good = export(tmp_path / "good.pt2", layer, torch.zeros(2, 7, 3), dynamic=dynamic)
    harm = Harm(tmp_path / "harmed")
    bad = rewritten(good, tmp_path / "bad.pt2", lambda name, data: harmful(name, data, harm))
    x = array(tmp_path / "x.npy", inputs)
    if message is None:
        with zipfile.ZipFile(good) as before, zipfile.ZipFile(bad) as after:
            assert [before.read(name) for name in before.namelist()] != [after.read(name) for name in after.namelist()]
        np.testing.assert_allclose(spectrum(load(bad, x)), lyapunov_spectrum(layer, inputs).exponents, **TOLERANCE)
    else:
        with pytest.raises(UserError, match=message):
            load(bad, x)
    assert not (tmp_path / "harmed").exists()
    pickle.loads(pickle.dumps(harm))
    assert (tmp_path / "harmed").exists()  # it would have


def test_a_damaged_or_foreign_archive(tmp_path: Path) -> None:
    good = export(tmp_path / "good.pt2", nn.GRU(3, 4, batch_first=True), torch.zeros(2, 7, 3))
    x = array(tmp_path / "x.npy", sequences(2, 7, 3))
    whole = good.read_bytes()
    (tmp_path / "cut.pt2").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt2").write_text("not a program")
    short = rewritten(
        good, tmp_path / "short.pt2", lambda name, data: data[:8] if name.startswith("data/weights/weight_") else data
    )
    empty = rewritten(good, tmp_path / "empty.pt2", lambda name, data: b"{}" if name == "models/model.json" else data)
    for path in (tmp_path / "cut.pt2", tmp_path / "text.pt2", short, empty):
        with pytest.raises(UserError, match=f"{path.name}' is damaged, or no file of torch.export.save"):
            load(path, x)
    for change, message in (
        (lambda name, data: data.replace(b'"major": 8', b'"major": 99'), "has version 99 of the format"),
        (lambda name, data: b"zip" if name == "archive_format" else data, "is no archive of torch.export"),
        (lambda name, data: b"big" if name == "byteorder" else data, "is not little-endian"),
    ):
        with pytest.raises(UserError, match=message):
            load(rewritten(good, tmp_path / "other.pt2", change), x)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "old.pt2", "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("model_weights_config.json", "model.pt"), old.read(name))
    with pytest.raises(UserError, match="keeps its weights in the pickle of an older torch"):
        load(tmp_path / "old.pt2", x)


def test_weights_of_a_state_dict_keep_their_digits(tmp_path: Path) -> None:
    layer, inputs = nn.GRU(3, 5, batch_first=True).double(), sequences(3, 10, 3)
    save_file(layer.state_dict(), tmp_path / "gru.safetensors")
    loaded = load(tmp_path / "gru.safetensors", array(tmp_path / "x.npy", inputs))
    np.testing.assert_array_equal(spectrum(loaded), lyapunov_spectrum(layer, inputs).exponents)


def test_state_dicts_without_a_spectrum(tmp_path: Path) -> None:
    x, path = array(tmp_path / "x.npy", sequences(2, 7, 3)), tmp_path / "w.safetensors"
    whole = nn.LSTM(3, 5, num_layers=2).state_dict()
    for state, message in (
        (nn.LSTM(3, 5, bidirectional=True).state_dict(), "is bidirectional"),
        ({"weight_hh_l0": torch.zeros(10, 5)}, r"weight_hh_l0 has shape \(10, 5\): expected 1, 3 or 4 times the units"),
        ({"weight_hh_l0": torch.zeros(5)}, r"weight_hh_l0 has shape \(5,\)"),
        ({"weight_hh_l0": torch.zeros(5, 5)}, "is no state_dict of a torch RNN, GRU or LSTM: 'weight_ih_l0'"),
        ({name: value for name, value in whole.items() if name != "weight_ih_l1"}, "is no state_dict .*weight_ih_l1"),
        ({"weight": torch.zeros(5, 5)}, "holds 0 recurrent layers"),
    ):
        save_file(state, path)
        with pytest.raises(UserError, match=message):
            load(path, x)
    for name, message in (("w.pt", "may be a pickle, which is never loaded"), ("w.onnx", "ends in '.onnx'")):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=message):
            load(tmp_path / name, x)


@pytest.mark.parametrize("ending", [".safetensors", ".pt2", ".pt", ".pth", ".ckpt", ".onnx", ""])
def test_a_network_that_is_not_there_is_not_judged_by_its_name(ending: str, tmp_path: Path) -> None:
    for read in (lambda path: load(path, None), load_network):
        with pytest.raises(UserError, match=f"w{ending}' is not there: expected a network in a .safetensors or .pt2"):
            read(tmp_path / f"w{ending}")
    (tmp_path / f"w{ending}").mkdir()
    with pytest.raises(UserError, match="is a directory, a pipe or a device: expected a network"):
        load(tmp_path / f"w{ending}", None)


def test_arrays_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with pytest.raises(UserError, match=r"x.npy' is not there: expected an .npy of real numbers \(batch\)"):
        load_array(path, "(batch)")
    path.write_text("1 2 3")
    with pytest.raises(UserError, match=r"is no \.npy file"):
        load_array(path, "(batch)")
    np.savez(tmp_path / "x.npz", np.zeros(3))
    with pytest.raises(UserError, match=r"x\.npz' is no \.npy file"):
        load_array(tmp_path / "x.npz", "(batch)")
    np.save(path, np.array([Harm(tmp_path / "harmed")]), allow_pickle=True)
    with pytest.raises(UserError, match="holds pickled objects, which are never loaded"):
        load_array(path, "(batch)")
    assert not (tmp_path / "harmed").exists()
    for wrong in (np.array(["a"]), np.array([1j]), np.array([True])):
        with pytest.raises(UserError, match=f"holds {wrong.dtype}: expected an .npy of real numbers"):
            load_array(array(path, wrong), "(batch)")
    path.write_bytes(array(path, np.zeros(100)).read_bytes()[:200])
    with pytest.raises(UserError, match="is damaged"):
        load_array(path, "(batch)")


@pytest.mark.parametrize("dtype", [">f8", "<f4", "f2", "longdouble", "u1", ">i4"])
def test_arrays_of_any_real_type(tmp_path: Path, dtype: str) -> None:
    loaded = load_array(array(tmp_path / "x.npy", np.arange(6).reshape(2, 3).T.astype(dtype)), "(batch)")
    assert torch.from_numpy(loaded).tolist() == [[0, 3], [1, 4], [2, 5]]
