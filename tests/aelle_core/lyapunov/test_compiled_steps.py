"""Step functions as machine code: the same states and Jacobians, or the reason why not."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import ClosedLoop, lyapunov_spectrum
from aelle_core.foundation import machine_code
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov.compiled import attempt, machine_step
from aelle_core.lyapunov.compiled.attempt import compiled_step
from aelle_core.lyapunov.compiled.graph import NotCompilableError
from aelle_core.lyapunov.compiled.machine_step import MachineStep
from aelle_core.lyapunov.compiled.trace import trace
from aelle_core.lyapunov.systems import StepSystem

pytest.importorskip("llvmlite")


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator(0, "test"), dtype=torch.float64)


def lorenz(s: Tensor) -> Tensor:
    x, y, z = s.unbind(-1)
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def lorenz96(s: Tensor) -> Tensor:
    return (torch.roll(s, -1, -1) - torch.roll(s, 2, -1)) * torch.roll(s, 1, -1) - s + 8


def runge_kutta(flow: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def step(_: Any, s: Tensor) -> Tensor:
        a = flow(s)
        b = flow(s + 0.005 * a)
        c = flow(s + 0.005 * b)
        return s + 0.01 / 6 * (a + 2 * b + 2 * c + flow(s + 0.01 * c))

    return step


def in_place(_: Any, s: Tensor) -> Tensor:
    new = torch.empty_like(s)
    new[:, 0], new[:, 1:] = s[:, -1], 2 * s[:, :-1]
    s *= 0.1
    return new + s


class Residual(nn.Module):
    """A person's own module."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.back, self.norm = nn.Linear(4, 9), nn.Linear(9, 4), nn.LayerNorm(4)

    def forward(self, _: Any, s: Tensor) -> Tensor:
        return self.norm(s + 0.1 * self.back(nn.functional.silu(self.wide(s))))


def lstm_of(cell: nn.LSTMCell) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, s: torch.cat(cell(x, tuple(s.chunk(2, -1))), -1)


def pieces(_: Any, s: Tensor) -> Tensor:
    kept = torch.where(s > 0.5, s.sin() - s.detach(), s * torch.tensor([1.0, 2.0, 0.5]))
    bent = s.pow(1.5) + nn.functional.softplus(s) + torch.atan2(s, 1 + s) + nn.functional.leaky_relu(s - 0.5)
    small = torch.clamp(s, 0.2, 0.7) + s.abs().log1p() + torch.maximum(s, 1 - s) + torch.expm1(-s) + s**3 + 1 / (2 + s)
    return 0.1 * (kept + bent + small + s.norm(dim=-1, keepdim=True) + s.amax(-1, keepdim=True) + s.mean(-1)[:, None])


def squared(_: Any, s: Tensor) -> Tensor:
    square = s.view(-1, 2, 2)
    return 0.3 * (torch.tanh(square) @ torch.cos(square)).flatten(1) + 0.1 * s @ torch.ones(4, 4).double() @ MATRIX


MATRIX = random(4, 4)
torch.manual_seed(0)
STEPS: dict[str, tuple[Callable[..., Tensor], int, int]] = {
    "logistic map": (lambda _, s: 3.9 * s * (1 - s), 1, 0),
    "Henon map": (lambda _, s: torch.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1) * 0.3, 2, 0),
    "Lorenz": (runge_kutta(lorenz), 3, 0),
    "Lorenz 96": (runge_kutta(lorenz96), 40, 0),
    "GRU cell": (nn.GRUCell(3, 11).double(), 11, 3),
    "LSTM cell": (lstm_of(nn.LSTMCell(3, 5).double()), 10, 3),
    "RNN cell": (nn.RNNCell(3, 5, nonlinearity="relu").double(), 5, 3),
    "a layer": (lambda x, s, layer=nn.GRU(3, 5).double(): layer(x[None], s[None])[1][0], 5, 3),  # type: ignore[misc]
    "a module": (Residual().double(), 4, 0),
    "softmax": (lambda _, s: torch.softmax(s, -1) * s, 4, 0),
    "in place": (in_place, 3, 0),
    "pieces": (pieces, 3, 0),
    "matrices": (squared, 4, 0),
    "powers": (lambda _, s: 0.3 * s ** torch.tensor([2.0, 1.5, 0.5], dtype=torch.float64), 3, 0),
    "unmoved": (lambda _, s: torch.cat([s[:, 1:], torch.ones_like(s[:, :1])], 1), 3, 0),
}


def system_of(name: str, steps: int = 6) -> StepSystem:
    step, size, features = STEPS[name]
    inputs = 2 * random(2, steps, features) - 1 if features else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a part of `pieces` is detached
        return StepSystem(step, inputs, random(2, size))


@pytest.mark.parametrize("name", list(STEPS))
def test_states_and_jacobians_are_the_functions_own(name: str) -> None:
    system = system_of(name)
    found = compiled_step(system).run(system.initial_state, system.inputs, 6, [False, False], 0, threads=2)
    for one, expected in zip(found, system.in_python(6, system.initial_state), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["Lorenz", "GRU cell", "matrices"])
def test_disturbances_are_as_large_as_asked_and_differ_from_row_to_row(name: str) -> None:
    system = system_of(name)
    quiet, loud = (MachineStep(trace(system.step, system.input_at(0, slice(1)), system.initial_state[:1]), size)
                   for size in (0.0, 1e-9))  # fmt: skip
    states, jacobians = quiet.run(system.initial_state, system.inputs, 2, [True, True], 0)
    expected = system.in_python(2, system.initial_state)
    torch.testing.assert_close(states, expected[0], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(jacobians, expected[1], rtol=1e-12, atol=1e-13)
    same = system.initial_state[:1].expand(2, -1).contiguous()
    x = None if system.inputs is None else system.inputs[:1].expand(2, -1, -1)
    states, jacobians = loud.run(same, x, 2, [False, True], 0)
    for one in (states, jacobians):
        apart = (one[1] - one[0]).abs().amax() / one[0].abs().amax()
        assert 1e-11 < float(apart) < 1e-7
    again = loud.run(same, x, 2, [True, True], 0)[0]
    assert not torch.equal(again[0], again[1])


def test_derivatives_in_saturation_keep_their_digits() -> None:
    weights = torch.tensor([40.0, -25.0, 3.0], dtype=torch.float64)
    for function, slope in (
        (torch.tanh, lambda a: 4 * torch.exp(-2 * a.abs()) / (1 + torch.exp(-2 * a.abs())) ** 2),
        (torch.sigmoid, lambda a: torch.exp(-a.abs()) / (1 + torch.exp(-a.abs())) ** 2),
    ):
        graph = trace(lambda _, s, function=function: function(s * weights), None, torch.ones(1, 3).double())
        jacobians = MachineStep(graph, 0.0).run(torch.ones(1, 3).double(), None, 1, [False], 0)[1][0, 0]
        torch.testing.assert_close(jacobians.diagonal(), weights * slope(weights), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "step",
    [
        lambda _, s: s * 2 if s.sum() > 0 else s,
        lambda _, s: s * float(s.sum()),
        lambda _, s: s + torch.randn_like(s),
        lambda _, s: s.float().double(),
        lambda _, s: torch.linalg.inv(torch.diag_embed(s)).sum(-1),
    ],
)
def test_what_hangs_on_values_or_is_not_known_is_not_compiled(step: Callable[..., Tensor]) -> None:
    with pytest.raises(NotCompilableError):
        trace(step, None, random(1, 3))


def test_a_step_that_is_not_compiled_says_so_and_runs_as_before() -> None:
    def step(_: Any, s: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(torch.eye(2).double() * 2, s.unsqueeze(-1), upper=True).squeeze(-1)

    with pytest.warns(UserWarning, match="runs in Python"):
        found = lyapunov_spectrum(step, steps=300, warmup=0, initial_state=random(1, 2), check=False)
    np.testing.assert_allclose(found.exponents, np.log([0.5, 0.5]), atol=1e-12)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", ["Lorenz", "GRU cell"])
def test_spectra_are_those_of_python(monkeypatch: pytest.MonkeyPatch, name: str, check: bool) -> None:
    step, size, features = STEPS[name]
    inputs = 2 * random(2, 300, features) - 1 if features else None
    given: dict[str, Any] = {"steps": None if features else 300, "initial_state": random(2, size), "check": check}
    found = lyapunov_spectrum(lambda x, s: step(x, s), inputs, warmup=20, **given)
    few = lyapunov_spectrum(lambda x, s: step(x, s), inputs, warmup=20, k=1, **given)
    monkeypatch.setattr(attempt, "_FEWEST_STEPS", 10**9)
    expected = lyapunov_spectrum(lambda x, s: step(x, s), inputs, warmup=20, **given)
    np.testing.assert_allclose(found.per_sequence, expected.per_sequence, atol=1e-9)
    few_expected = lyapunov_spectrum(lambda x, s: step(x, s), inputs, warmup=20, k=1, **given)
    np.testing.assert_allclose(few.exponents, few_expected.exponents, atol=1e-9)
    assert found.sum_rule_residual < 1e-9
    if check:
        np.testing.assert_array_equal(found.resolved, expected.resolved)


def test_a_step_that_changes_from_call_to_call_is_noticed() -> None:
    factor = [0.5]

    def step(_: Any, s: Tensor) -> Tensor:
        return s * factor[0]

    def change(_: int) -> None:
        factor[0] = 0.25

    with pytest.warns(UserWarning, match=r"does not do at step 256 what it did when it was compiled"):
        found = lyapunov_spectrum(step, steps=512, warmup=0, initial_state=random(1, 2), check=False, on_step=change)
    assert found.exponents[0] == pytest.approx(1.5 * np.log(0.5))


def test_a_closed_loop_with_a_readout_of_its_own_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    loop = ClosedLoop(nn.GRU(2, 6, batch_first=True), nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)))
    inputs = 2 * random(2, 10, 2) - 1
    found = lyapunov_spectrum(loop, inputs, steps=300, check=False)
    monkeypatch.setattr(attempt, "_FEWEST_STEPS", 10**9)
    expected = lyapunov_spectrum(loop, inputs, steps=300, check=False)
    np.testing.assert_allclose(found.exponents[:6], expected.exponents[:6], atol=1e-9)  # the output hangs on the state


def test_the_next_process_finds_the_code_and_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(factor: float, place: str = str(tmp_path)) -> Tensor:
        """As in a process that has compiled nothing."""
        monkeypatch.setenv("AELLE_CACHE_DIR", place)
        monkeypatch.setattr(machine_step, "_codes", {})
        graph = trace(lambda _, s: factor * s * (1 - s.sin()), None, random(1, 2))
        return MachineStep(graph, 0.0).run(random(1, 2), None, 5, [False], 0)[0]

    first = run(1.4)
    (kept,) = (tmp_path / "steps").glob("*.o")
    optimise = machine_code._optimise
    monkeypatch.setattr(machine_code, "_optimise", lambda *_: pytest.fail("compiled again"))
    assert torch.equal(run(1.4), first)
    assert not torch.equal(run(1.3), first)  # constants are no part of the code
    monkeypatch.setattr(machine_code, "_optimise", optimise)
    kept.write_bytes(b"spoilt")
    assert torch.equal(run(1.4), first)
    assert len(kept.read_bytes()) > 100
    assert torch.equal(run(1.4, "/proc/nowhere"), first)
