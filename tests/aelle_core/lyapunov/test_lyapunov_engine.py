"""How the engine goes about it: stretches, threads, kernels, precision, and systems of every kind."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import engine, pack_spectra, precision
from aelle_core.lyapunov import spectrum as spectrum_module
from aelle_core.lyapunov import stretches as stretches_module
from aelle_core.lyapunov.systems import StepSystem
from tests.helpers.spectra import assert_same, stacked

INPUTS = torch.randn(3, 40, 2, generator=generator(0, "test"))


def network(name: str = "gru", units: int = 12, scale: float = 0.5) -> Network:
    cell = get_cell(name, 2, units)
    return Network(cell, cell.initialise(generator(0, "weights"), scale))


@pytest.mark.parametrize("stretch", [1, 3, 7])
@pytest.mark.parametrize("warmup", [0, 5])
def test_the_length_of_stretches_changes_nothing(monkeypatch: pytest.MonkeyPatch, stretch: int, warmup: int) -> None:
    expected = lyapunov_spectrum(network(), INPUTS, warmup=warmup, running=4)
    monkeypatch.setattr(stretches_module, "_LONGEST", stretch)
    spectrum = lyapunov_spectrum(network(), INPUTS, warmup=warmup, running=4)
    assert_same(spectrum, expected, 1e-12)
    np.testing.assert_array_equal(spectrum.running_steps, expected.running_steps)
    np.testing.assert_allclose(spectrum.running, expected.running, atol=1e-12)
    assert spectrum.sum_rule_residual == pytest.approx(expected.sum_rule_residual, abs=1e-13)


def test_threads_change_nothing_and_torch_gets_its_own_back() -> None:
    before = torch.get_num_threads()
    try:
        expected = lyapunov_spectrum(network(), INPUTS)
        torch.set_num_threads(2)
        assert_same(lyapunov_spectrum(network(), INPUTS), expected)
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            lyapunov_spectrum(network(), INPUTS, on_step=lambda _: 1 / 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["rnn", "lstm", "lem", "rnn_relu"])
def test_without_numba_the_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    expected = lyapunov_spectrum(network(name), INPUTS)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == "numba" else real(module))
    spectrum = lyapunov_spectrum(network(name), INPUTS)
    finite = np.isfinite(expected.per_sequence) & expected.resolved
    np.testing.assert_allclose(spectrum.per_sequence[finite], expected.per_sequence[finite], atol=1e-8)
    assert spectrum.dead_directions == expected.dead_directions


def test_running_exponents_end_at_the_exponents() -> None:
    spectrum = lyapunov_spectrum(network(), INPUTS, warmup=3, running=1)
    assert spectrum.running is not None
    assert spectrum.running.shape == (37, 12)
    np.testing.assert_allclose(spectrum.running[-1], spectrum.exponents, atol=1e-13)
    shorter = lyapunov_spectrum(network(), INPUTS[:, :20], warmup=3)
    np.testing.assert_allclose(np.sort(spectrum.running[16]), np.sort(shorter.exponents), atol=1e-12)
    assert len(spectrum.plot_running().lines) == 13
    with pytest.raises(UserError, match="expected lyapunov_spectrum"):
        lyapunov_spectrum(network(), INPUTS).plot_running()
    with pytest.raises(UserError, match="running=38: expected a whole number from 1 to 37"):
        lyapunov_spectrum(network(), INPUTS, warmup=3, running=38)


def test_fast_is_within_its_promise_and_keeps_its_name() -> None:
    exact, fast = lyapunov_spectrum(network(), INPUTS), lyapunov_spectrum(network(), INPUTS, precision="fast")
    assert fast.precision == "fast"
    assert fast.resolved is not None
    assert fast.resolved.all()
    assert 0 < np.abs(fast.exponents - exact.exponents).max() < 1e-3


def test_fast_falls_back_network_by_network() -> None:
    """Of a pack, the ill-conditioned alone; with the numbers that "exact" gives."""
    cell = get_cell("rnn", 2, 12)
    drawn = [cell.initialise(generator(seed, "weights"), scale) for seed, scale in ((0, 0.3), (1, 6.0), (2, 0.3))]
    pack = Network(cell, stacked(drawn))
    fast = pack_spectra(pack, INPUTS, precision="fast", check=True)
    exact = pack_spectra(pack, INPUTS)
    assert [spectrum.precision for spectrum in fast] == ["fast", "exact", "fast"]
    np.testing.assert_allclose(fast[1].exponents, exact[1].exponents, atol=1e-11)
    for index in (0, 2):
        assert np.abs(fast[index].exponents - exact[index].exponents).max() < 1e-3


def test_fast_without_a_check_stays_fast() -> None:
    assert lyapunov_spectrum(network("rnn", scale=6.0), INPUTS, precision="fast", check=False).precision == "fast"


@pytest.mark.parametrize("as_array", [False, True])
def test_given_jacobians(as_array: bool, tmp_path: Path) -> None:
    """The spectrum along a trajectory that somebody else has linearised, from memory or from a mapped file."""
    linear = torch.randn(2, 30, 5, 5, generator=generator(0, "test"), dtype=torch.float64)
    given: Any = linear
    if as_array:
        np.save(tmp_path / "jacobians.npy", linear.numpy())
        given = np.load(tmp_path / "jacobians.npy", mmap_mode="r")
    spectrum = lyapunov_spectrum(given, warmup=2)
    for sequence in range(2):
        q, total = np.eye(5), np.zeros(5)
        for step, matrix in enumerate(linear[sequence].numpy()):
            q, r = np.linalg.qr(matrix @ q)
            total += np.log(np.abs(np.diag(r))) * (step >= 2)
        np.testing.assert_allclose(np.sort(spectrum.per_sequence[sequence]), np.sort(total / 28), atol=1e-12)
    assert spectrum.resolved is not None
    assert spectrum.resolved.all()
    assert lyapunov_spectrum(given.astype(np.float32) if as_array else given.float(), precision="fast").status == "ok"


@pytest.mark.parametrize(
    ("jacobians", "options", "message"),
    [
        (torch.ones(2, 3, 3), {}, r"shape \(2, 3, 3\): expected real numbers \(batch, time, size, size\)"),
        (np.ones((2, 5, 3, 4)), {}, r"shape \(2, 5, 3, 4\)"),
        (torch.ones(1, 5, 3, 3, dtype=torch.complex64), {}, "complex64"),
        (np.full((1, 5, 3, 3), "a"), {}, "expected real numbers"),
        (torch.ones(1, 5, 3, 3), {"inputs": INPUTS}, "inputs was given with an array of Jacobians"),
        (torch.ones(1, 5, 3, 3), {"jacobian": "hidden"}, "jacobian was given with"),
        (torch.ones(1, 5, 3, 3), {"steps": 6}, "steps=6: expected 1 to 5"),
    ],
)
def test_bad_jacobians_are_refused(jacobians: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lyapunov_spectrum(jacobians, **options)


def test_jacobians_with_nan_are_a_status() -> None:
    jacobians = torch.ones(2, 5, 3, 3)
    jacobians[1, 2, 0, 0] = math.nan
    assert lyapunov_spectrum(jacobians).status == "non-finite"


class StepModule(nn.Module):
    """A person's own step: a gated cell and a leak around it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, 12)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return 0.8 * self.cell(x, state) + 0.2 * state


def test_module_that_is_a_step_itself() -> None:
    module = StepModule()
    start = torch.zeros(3, 12)
    spectrum = lyapunov_spectrum(module, INPUTS, initial_state=start)
    double = StepModule().double()
    double.load_state_dict(module.state_dict())
    expected = lyapunov_spectrum(lambda x, state: double(x, state), INPUTS.double(), initial_state=start)
    assert_same(spectrum, expected, 1e-13)
    assert next(module.parameters()).dtype == torch.float32
    with pytest.raises(UserError, match="GRUCell inside a module"):
        lyapunov_spectrum(module, INPUTS)


def test_few_tangents_of_a_step_function_are_pushed_one_by_one() -> None:
    given = network(units=16)
    weights = given.prepare(torch.float64)

    def step(x: Tensor | None, state: Tensor) -> Tensor:
        assert x is not None
        return given.cell.step(weights, given.cell.drive(weights, x[None]), {"h": state[None]})["h"][0]

    start = torch.zeros(3, 16)
    assert StepSystem(step, INPUTS.double(), start.double()).pushes(3)
    whole = lyapunov_spectrum(given, INPUTS, k=3)
    few = lyapunov_spectrum(step, INPUTS, initial_state=start, k=3)
    all_of_them = lyapunov_spectrum(step, INPUTS, initial_state=start)
    assert_same(few, whole, 1e-12)
    np.testing.assert_allclose(all_of_them.exponents, lyapunov_spectrum(given, INPUTS).exponents, atol=1e-12)


def test_step_function_that_works_with_its_own_batch_only() -> None:
    gains = torch.tensor([[0.9], [1.1], [1.3]], dtype=torch.float64)
    matrix = torch.randn(4, 4, generator=generator(0, "test"), dtype=torch.float64) / 2

    def step(_: Tensor | None, state: Tensor) -> Tensor:
        return torch.tanh(gains * (state @ matrix.T))

    start = 0.1 * torch.ones(3, 4, dtype=torch.float64)
    assert not StepSystem(step, None, start).any_batch
    together = lyapunov_spectrum(step, steps=30, initial_state=start)
    for row in range(3):
        alone = lyapunov_spectrum(
            lambda _, state, row=row: torch.tanh(gains[row] * (state @ matrix.T)), steps=30, initial_state=start[:1]
        )
        order = np.argsort(-together.per_sequence[row])
        np.testing.assert_allclose(together.per_sequence[row][order], alone.exponents, atol=1e-12)


def test_step_function_that_cannot_be_differentiated() -> None:
    def by_numpy(_: Tensor | None, state: Tensor) -> Tensor:
        return torch.from_numpy(np.tanh(state.numpy()))

    with pytest.raises(UserError, match="cannot be differentiated in forward mode"):
        lyapunov_spectrum(by_numpy, steps=3, initial_state=torch.ones(1, 2))

    def with_a_part_detached(_: Tensor | None, state: Tensor) -> Tensor:
        return state * float(state.sum().item())

    with pytest.warns(UserWarning, match="off from finite differences"):
        lyapunov_spectrum(with_a_part_detached, steps=3, initial_state=torch.ones(1, 2))


def test_a_long_trajectory_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is alive at once is one stretch, however many steps there are."""
    stretches = []
    real = StepSystem.linearise

    def watched(self: StepSystem, first: int, steps: int, *rest: Any) -> Any:
        stretches.append(steps)
        return real(self, first, steps, *rest)

    monkeypatch.setattr(StepSystem, "linearise", watched)
    spectrum = lyapunov_spectrum(
        lambda _, state: 3.9 * state * (1 - state), steps=5000, initial_state=torch.full((1, 1), 0.3), check=False
    )
    assert sum(stretches) == 5000
    assert max(stretches) <= stretches_module._LONGEST
    assert spectrum.maximum == pytest.approx(0.4945, abs=0.02)  # the logistic map at 3.9


def test_progress_is_told_in_steps() -> None:
    steps: list[int] = []
    lyapunov_spectrum(network(), torch.randn(1, 600, 2), on_step=steps.append)
    assert steps[-1] == 600
    assert steps == sorted(steps)
    assert len(steps) > 1


def test_chaos_leaves_exponents_unresolved_by_about_their_standard_error() -> None:
    """Rounding decides which trajectory is followed: `resolved` says so, `rounding_error` how little it means."""
    start = torch.linspace(0.1, 0.4, 20, dtype=torch.float64)[:, None]
    spectrum = lyapunov_spectrum(lambda _, state: 4 * state * (1 - state), steps=500, initial_state=start)
    assert spectrum.resolved is not None
    assert spectrum.rounding_error is not None
    assert not spectrum.resolved.any()
    assert abs(spectrum.maximum - math.log(2)) < 5 * spectrum.stderr[0]


def test_packs_beyond_memory_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = get_cell("gru", 2, 6)
    drawn = [cell.initialise(generator(seed, "weights"), 0.5) for seed in range(5)]
    pack = Network(cell, stacked(drawn))
    expected = pack_spectra(pack, INPUTS, check=True)
    sizes = []
    real = engine.evolve
    monkeypatch.setattr(spectrum_module, "_HOST_MEMORY", 2 * (2 * 3 * 36 * 8 * 2))
    monkeypatch.setattr(
        precision,
        "evolve",
        lambda part, *rest, **options: sizes.append(part.networks) or real(part, *rest, **options),
    )
    for spectrum, wanted in zip(pack_spectra(pack, INPUTS, check=True), expected, strict=True):
        assert_same(spectrum, wanted, 1e-12)
    assert sizes == [2, 2, 1]


class WithStart(nn.Module):
    """A layer with a learned initial state, called with keywords, beside a frozen part in another mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(2, 4, num_layers=2, batch_first=True)
        self.h = nn.Parameter(torch.randn(2, 1, 4))
        self.frozen = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.h.expand(-1, len(x), -1).contiguous()
        return self.frozen(self.layer(input=x, hx=(h, torch.zeros_like(h)))[0])


def test_a_module_is_taken_with_its_initial_state_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    module = WithStart().train()
    module.frozen.eval()
    spectrum = lyapunov_spectrum(module, INPUTS.double().numpy())
    h = module.h.detach().expand(-1, 3, -1)
    expected = lyapunov_spectrum(module.layer, INPUTS, initial_state=(h, torch.zeros_like(h)))
    assert_same(spectrum, expected)
    assert not np.allclose(spectrum.exponents, lyapunov_spectrum(module.layer, INPUTS).exponents)
    assert module.training
    assert not module.frozen.training
    with pytest.raises(UserError, match=r"WithStart failed on the inputs, \(3, 40, 1\)"):
        lyapunov_spectrum(module, INPUTS[..., :1])
    with pytest.raises(UserError, match="WithStart failed on the inputs, NoneType"):
        lyapunov_spectrum(module)


def test_step_function_that_mixes_its_rows_is_taken_as_it_is() -> None:
    """With its own batch only: two copies side by side would be another system."""

    def step(_: Tensor | None, state: Tensor) -> Tensor:
        return torch.tanh(state + 0.1 * state[0])

    assert not StepSystem(step, None, torch.full((1, 2), 0.3, dtype=torch.float64)).any_batch
