"""What people hand in that is unusual: it is computed rightly, or refused with one sentence."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, from_torch, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov.accepting.checks import checked_device
from aelle_core.lyapunov.systems import StepSystem
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic
from tests.helpers.spectra import assert_same

INPUTS = torch.randn(3, 8, 2, generator=generator(0, "test"))
STARTS = torch.rand(2, 3, generator=generator(1, "test"), dtype=torch.float64)
MATRIX = torch.randn(3, 3, generator=generator(2, "test"), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def network(name: str = "gru", units: int = 4) -> Network:
    cell = get_cell(name, 2, units)
    return Network(cell, cell.initialise(generator(0, "weights"), 0.5))


class Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class OwnCell(nn.GRUCell):
    pass


def tied_biases() -> nn.Module:
    layer = nn.GRU(2, 4)
    layer.bias_hh_l0 = layer.bias_ih_l0
    return layer


def tied_layers() -> nn.Module:
    layer = nn.LSTM(4, 4, num_layers=2)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(layer, f"{name}_l1", getattr(layer, f"{name}_l0"))
    return layer


def pruned() -> nn.Module:
    layer = nn.RNN(2, 4)
    prune.l1_unstructured(layer, "bias_ih_l0", 1)
    prune.l1_unstructured(layer, "weight_hh_l0", 8)
    with torch.no_grad():  # as an optimiser does: the layer's attribute is of the last forward pass
        dict(layer.named_parameters())["weight_hh_l0_orig"].mul_(2)
    return layer


def parametrised() -> nn.Module:
    layer = nn.GRU(2, 4)
    parametrize.register_parametrization(layer, "weight_hh_l0", Halved())
    return layer


def orthogonal() -> nn.Module:
    return parametrizations.orthogonal(nn.RNNCell(2, 4), "weight_hh")


def normed() -> nn.Module:
    layer = weight_norm(nn.LSTM(2, 4), "weight_hh_l0")
    with torch.no_grad():
        dict(layer.named_parameters())["weight_hh_l0_g"].mul_(2)
    return layer


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "made",
    [tied_biases, tied_layers, pruned, parametrised, orthogonal, normed, lambda: OwnCell(2, 4, bias=False)],
)
def test_weights_are_those_of_the_forward_pass(made: Callable[[], nn.Module]) -> None:
    module = made()
    networks = from_torch(module)
    width = networks[0].cell.input_size
    sequence = torch.randn(5, 3, width)
    with torch.no_grad():
        if isinstance(module, nn.RNNCellBase):
            state = None
            for x in sequence:
                state = module(x, state)
            expected = state
        else:
            expected = module(sequence)[0][-1]
        below = sequence[None].transpose(1, 2)
        for direction in networks:
            weights = direction.prepare(torch.float32)
            drive = direction.cell.drive(weights, below.flatten(1, 2)).unflatten(1, (3, 5))
            parts = direction.cell.initial_state(1, 3, sequence)
            along = []
            for time in range(5):
                parts = direction.cell.step(weights, drive[:, :, time], parts)
                along.append(parts["h"])
            below = torch.stack(along, dim=2)
    torch.testing.assert_close(below[0, :, -1], expected, rtol=1e-5, atol=1e-6)


def test_another_cell_of_torch_is_refused() -> None:
    with pytest.raises(UserError, match="RNNCellBase is not a torch recurrent layer"):
        from_torch(nn.RNNCellBase(2, 4, bias=True, num_chunks=1))


@pytest.mark.parametrize("k", [None, 1])
@pytest.mark.parametrize("units", [3, 8])
def test_steps_that_work_in_place(units: int, k: int | None) -> None:
    matrix = torch.randn(units, units, generator=generator(2, "test"), dtype=torch.float64)
    start = torch.rand(2, units, generator=generator(1, "test"), dtype=torch.float64)
    inputs = torch.randn(2, 20, units, generator=generator(3, "test"), dtype=torch.float64)
    kept = start.clone(), inputs.clone()

    def in_place(x: Any, state: Tensor) -> Tensor:
        state.mul_(1.5)
        state += x.mul_(0.1)
        return (state @ matrix).tanh_().add_(state.sigmoid_())

    def out_of_place(x: Any, state: Tensor) -> Tensor:
        state = 1.5 * state + 0.1 * x
        return torch.tanh(state @ matrix) + torch.sigmoid(state)

    spectrum = lyapunov_spectrum(in_place, inputs, initial_state=start, k=k)
    assert_same(spectrum, lyapunov_spectrum(out_of_place, inputs, initial_state=start, k=k), 1e-12)
    assert torch.equal(start, kept[0])
    assert torch.equal(inputs, kept[1])


def test_an_autonomous_map_in_place() -> None:
    start = STARTS.clone()
    spectrum = lyapunov_spectrum(lambda _, s: s.mul_(1.5).tanh_(), steps=20, initial_state=start)
    assert_same(spectrum, lyapunov_spectrum(lambda _, s: torch.tanh(1.5 * s), steps=20, initial_state=start), 1e-13)
    assert torch.equal(start, STARTS)


def fails_with(error: Exception) -> Callable[[Any, Tensor], Tensor]:
    def step(_: Any, state: Tensor) -> Tensor:
        raise error

    return step


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda s: s, r"x None and state of shape \(2, 3\): TypeError: .* 1 positional argument"),
        (lambda _, s: s[5], "IndexError: .*; expected a function of"),
        (fails_with(ValueError("one\ntwo")), "ValueError: one; expected"),
        (fails_with(KeyError()), "KeyError; expected"),
        (lambda _, s: s @ MATRIX.float(), "dtype.*; convert its weights to that dtype, or ask for precision='fast'"),
        (fails_with(UserError("as it was said")), "^as it was said$"),
    ],
)
def test_steps_that_fail(step: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        lyapunov_spectrum(step, steps=3, initial_state=STARTS)
    assert "\n" not in str(caught.value)


def test_a_step_that_takes_its_own_states_alone() -> None:
    def step(_: Tensor | None, state: Tensor) -> Tensor:
        if not bool((state.sum(dim=1) - 1).abs().max() < 1e-9):
            raise ValueError("no probabilities")
        return torch.softmax(2 * state, dim=-1)

    start = torch.softmax(STARTS, dim=-1)
    expected = lyapunov_spectrum(lambda _, s: torch.softmax(2 * s, dim=-1), steps=9, initial_state=start, k=2)
    assert_same(lyapunov_spectrum(step, steps=9, initial_state=start, k=2, check=False), expected, 1e-12)


class Leaky(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return self.drop(self.cell(x, state))


def test_a_step_module_is_taken_as_in_evaluation() -> None:
    module = Leaky().train()
    start = torch.zeros(3, 4)
    spectrum = lyapunov_spectrum(module, INPUTS, initial_state=start, device="cpu")
    assert_same(spectrum, lyapunov_spectrum(module.cell, INPUTS), 1e-12)
    assert module.training
    assert module.drop.training
    module.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"Leaky cannot be copied to torch.float64: cannot pickle"):
        lyapunov_spectrum(module, INPUTS, initial_state=start)


class Expanding(nn.Module):
    """Too ill-conditioned for float32, with numbers that float32 rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.tensor([2.1, 1.3, 1e-9], dtype=torch.float64))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        turned = torch.stack([state.sum(dim=1), state[:, 0] - state[:, 1], state[:, 1] + state[:, 2]], dim=1)
        return torch.sin(self.gains * turned + x)


def test_fast_starts_again_from_what_was_given() -> None:
    module = Expanding()
    inputs = torch.randn(2, 6, 3, generator=generator(3, "test"), dtype=torch.float64)
    spectrum = lyapunov_spectrum(module, inputs, initial_state=STARTS, precision="fast")
    assert spectrum.precision == "exact"
    assert_same(spectrum, lyapunov_spectrum(module, inputs, initial_state=STARTS), 1e-12)
    single = Expanding().float()
    function = lyapunov_spectrum(lambda x, s: single(x, s), inputs, initial_state=STARTS, precision="fast")
    assert function.precision == "exact"  # numbers in the closure are promoted

    def in_float32(x: Any, state: Tensor) -> Tensor:
        return torch.sin((torch.diag(single.gains.detach()) @ MATRIX.float() @ state.mT).mT + x)

    assert lyapunov_spectrum(in_float32, inputs, initial_state=STARTS, precision="fast").precision == "fast"


def test_torchscript_is_refused() -> None:
    class Step(nn.Module):
        def forward(self, x: Tensor, state: Tensor) -> Tensor:
            return torch.tanh(state + x.sum())

    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor, state: Tensor) -> Tensor:
            return self.inner(x, state)

    scripted = torch.jit.trace(Step(), (torch.ones(3, 2), torch.ones(3, 4)))
    traced = torch.jit.trace(lambda x, state: torch.tanh(state + x.sum()), (torch.ones(3, 2), torch.ones(3, 4)))
    for step in (scripted, traced, scripted.forward, Around(scripted)):
        with pytest.raises(UserError, match="TorchScript"):
            lyapunov_spectrum(step, INPUTS, initial_state=torch.zeros(3, 4))


def test_every_form_of_tanh_and_sigmoid_keeps_its_derivative() -> None:
    a = torch.tensor([-300.0, -25.0, -1.0, 0.0, 0.5, 25.0, 300.0], dtype=torch.float64)

    def slopes(function: Callable[[Tensor], Tensor]) -> Tensor:
        with WatchedArithmetic(a):
            return torch.func.jvp(lambda b: function(b.clone()), (a,), (torch.ones_like(a),))[1]

    for same in (Tensor.tanh_, torch.tanh_, lambda b: torch.tanh(input=b)):
        assert torch.equal(slopes(same), slopes(torch.tanh))
    for same in (Tensor.sigmoid_, torch.sigmoid_, torch.special.expit, lambda b: torch.sigmoid(input=b)):
        assert torch.equal(slopes(same), slopes(torch.sigmoid))

    def changed(b: Tensor) -> Tensor:
        b.tanh_()
        return b

    assert torch.equal(slopes(changed), slopes(torch.tanh))
    with WatchedArithmetic(a):
        assert torch.equal(a.clone().tanh_(), a.tanh())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_results_are_disturbed_by_units_of_their_own_dtype(dtype: torch.dtype) -> None:
    a = torch.linspace(1, 2, 101, dtype=dtype)
    like = torch.empty(0, dtype=torch.float64)
    b, c = a.clone(), a.clone()
    with WatchedArithmetic(like, disturbance=4 * torch.finfo(like.dtype).eps):
        product = a * 1
        b.mul_(1)
        c *= 1
        out = torch.mul(a, 1, out=torch.empty_like(a))
        moved = a.flip(0).flip(0)
    for result in (product, b, c, out):
        assert result.dtype == dtype
        apart = (result.double() / a.double() - 1).abs().max()
        assert 0 < apart <= 5 * torch.finfo(dtype).eps
    assert torch.equal(moved, a)


def test_a_detour_through_float32_is_not_resolved() -> None:
    start = torch.full((1, 2), 0.3)
    spectrum = lyapunov_spectrum(lambda _, s: (4 * s * (1 - s)).float().double(), steps=20, initial_state=start)
    assert spectrum.resolved is not None
    assert not spectrum.resolved.any()


def read_only(array: np.ndarray) -> np.ndarray:
    copied = array.copy()
    copied.flags.writeable = False
    return copied


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "changed",
    [
        lambda array: array[:, ::-1].copy()[:, ::-1],
        lambda array: array.astype(">f8"),
        lambda array: array.astype(np.longdouble),
        lambda array: np.asfortranarray(array),
        read_only,
    ],
)
def test_arrays_of_any_memory(changed: Callable[[np.ndarray], np.ndarray]) -> None:
    inputs = INPUTS.double().numpy()
    expected = lyapunov_spectrum(network(), inputs)
    assert_same(lyapunov_spectrum(network(), changed(inputs)), expected)
    assert_same(lyapunov_spectrum(network(), changed(inputs[:1])[::-1]), lyapunov_spectrum(network(), inputs[:1]))
    start = changed(np.full((3, 4), 0.1))
    assert_same(
        lyapunov_spectrum(network(), inputs, initial_state=start),
        lyapunov_spectrum(network(), inputs, initial_state=torch.full((3, 4), 0.1, dtype=torch.float64)),
    )
    jacobians = np.random.default_rng(0).standard_normal((2, 5, 3, 3))
    assert_same(lyapunov_spectrum(changed(jacobians)), lyapunov_spectrum(torch.from_numpy(jacobians)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float16])
def test_arrays_of_other_numbers(dtype: Any) -> None:
    whole = np.random.default_rng(0).integers(0, 5, (3, 8, 2))
    assert_same(lyapunov_spectrum(network(), whole.astype(dtype)), lyapunov_spectrum(network(), whole.astype(float)))
    as_tensor = torch.from_numpy(whole.astype(dtype))
    assert_same(lyapunov_spectrum(network(), as_tensor), lyapunov_spectrum(network(), whole.astype(float)))
    jacobians = np.random.default_rng(0).integers(0, 5, (2, 5, 3, 3))
    expected = lyapunov_spectrum(jacobians.astype(float))
    assert_same(lyapunov_spectrum(jacobians.astype(dtype)), expected)
    assert_same(lyapunov_spectrum(torch.from_numpy(jacobians.astype(dtype))), expected)


@pytest.mark.parametrize(
    "given",
    [
        INPUTS.numpy().astype(object),
        INPUTS.numpy().astype(str),
        np.ma.masked_array(INPUTS.numpy()),
        INPUTS.numpy() > 0,
        INPUTS.numpy() + 1j,
        INPUTS.to_sparse(),
        INPUTS.to("meta"),
        torch.quantize_per_tensor(INPUTS, 0.1, 0, torch.qint8),
    ],
)
def test_what_holds_no_plain_numbers_is_refused(given: Any) -> None:
    with pytest.raises(UserError, match=r"^inputs .*: expected"):
        lyapunov_spectrum(network(), given)
    start = given[:, 0] if isinstance(given, np.ndarray) else given
    with pytest.raises(UserError, match=r"^initial_state .*: expected"):
        lyapunov_spectrum(network(units=2), INPUTS, initial_state=start)
    with pytest.raises(UserError, match=r"^initial_state .*: expected"):
        lyapunov_spectrum(lambda _, s: s, steps=3, initial_state=start)


@pytest.mark.parametrize(
    "jacobians",
    [
        np.ones((1, 5, 3, 3), dtype=object),
        np.ones((1, 5, 3, 3), dtype=bool),
        torch.ones(1, 5, 3, 3, dtype=torch.bool),
        torch.ones(1, 5, 3, 3).to_sparse(),
        torch.ones(1, 5, 3, 3, device="meta"),
        torch.quantize_per_tensor(torch.ones(1, 5, 3, 3), 0.1, 0, torch.qint8),
    ],
)
def test_jacobians_that_are_no_plain_numbers_are_refused(jacobians: Any) -> None:
    with pytest.raises(UserError, match=r"Jacobians .*: expected|expected real numbers"):
        lyapunov_spectrum(jacobians)


@pytest.mark.parametrize("device", ["meta", "mps", "xpu", "nowhere", "cuda:99", 3.5, 10**30])
def test_devices_that_are_none(device: Any) -> None:
    with pytest.raises(UserError, match=r"device=.*: expected 'cpu'"):
        checked_device(device)


H, C = torch.full((1, 3, 4), 0.1), torch.full((1, 3, 4), 0.2)


def test_a_list_of_parts_is_taken_like_a_tuple() -> None:
    layer = nn.LSTM(2, 4, batch_first=True)
    expected = lyapunov_spectrum(layer, INPUTS, initial_state=(H, C))
    given: Any = [H.numpy(), C.double()]
    assert_same(lyapunov_spectrum(layer, INPUTS, initial_state=given), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("zeros", "initial_state is str: expected"),
        ({"h": H, "c": C}, "initial_state is dict: expected"),
        ((H, None), "initial_state is Tensor, NoneType: expected"),
        ([0.1, 0.2], "initial_state is float, float: expected"),
        ([], "initial_state is empty: expected"),
        ((H + 1j, C), "expected real numbers"),
        ((H.repeat(2, 1, 1), C.repeat(2, 1, 1)), r"\(2, 3, 4\), \(2, 3, 4\): expected \(3, 8\).*\(1, 3, 4\) for each"),
        ((H, C.repeat(2, 1, 1)), r"\(1, 3, 4\), \(2, 3, 4\): expected"),
        ((torch.zeros(3, 8), C), r"\(3, 8\), \(1, 3, 4\): expected"),
        ((torch.zeros(3, 8), torch.zeros(3, 8)), r"\(3, 8\), \(3, 8\): expected"),
        (H, r"\(1, 3, 4\): expected"),
        ((H, C * float("nan")), "NaN or infinity"),
    ],
)
def test_initial_states_that_do_not_fit(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        lyapunov_spectrum(nn.LSTM(2, 4, batch_first=True), INPUTS, initial_state=given)


def test_steps_may_be_numbers_of_numpy() -> None:
    assert lyapunov_spectrum(network(), INPUTS, steps=np.int64(5)).steps == 5  # type: ignore[arg-type]
    spectrum = lyapunov_spectrum(lambda _, s: 2 * s, steps=np.int32(5), initial_state=STARTS)  # type: ignore[arg-type]
    assert spectrum.steps == 5
    for steps in (True, 5.0, np.bool_(True)):
        with pytest.raises(UserError, match="steps="):
            lyapunov_spectrum(network(), INPUTS, steps=steps)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="steps="):
            lyapunov_spectrum(lambda _, s: s, steps=steps, initial_state=STARTS)  # type: ignore[arg-type]


def test_a_module_that_fails_in_its_own_way() -> None:
    class Indexing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.memory = nn.Embedding(5, 3), nn.GRU(3, 4, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.memory(self.embed(tokens))[0]

    with pytest.raises(UserError, match=r"Indexing failed on the inputs, \(2, 6\): index out of range"):
        lyapunov_spectrum(Indexing(), torch.full((2, 6), 9))


def test_in_double_without_what_was_given_is_not_offered() -> None:
    assert StepSystem(lambda _, s: s, None, STARTS.float()).in_double([0]) is None
