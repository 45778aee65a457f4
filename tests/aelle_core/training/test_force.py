"""FORCE against a plain program and exact least squares, and known facts of the networks that it trains."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import pack_spectra
from aelle_core.tasks.target_learning import TargetLearning
from aelle_core.training import ForceTrainer, NetworkSettings, load_checkpoint, save_checkpoint
from aelle_core.training.force.least_squares import RecursiveLeastSquares
from tests.helpers.published_force import published_force

SHORT = TargetLearning(period=60, test_periods=2)


def trainer(gains: list[float], units: int = 24, task: TargetLearning = SHORT, first_seed: int = 0) -> ForceTrainer:
    settings = [NetworkSettings(first_seed + index, gain, 1.0) for index, gain in enumerate(gains)]
    return ForceTrainer(get_cell("rank1", 1, units), task, settings)


def regressors(networks: int, steps: int, units: int) -> torch.Tensor:
    """Slow signals of few dimensions, as a network's rates are: (steps, networks, units)."""
    source = generator(0, "test")
    phases = 6.3 * torch.rand(6, networks, units, generator=source, dtype=torch.float64)
    angles = 0.01 * torch.arange(steps, dtype=torch.float64)[:, None, None]
    slow = sum(torch.sin((index + 1) * angles + phase) for index, phase in enumerate(phases))
    return torch.tanh(slow) + 1e-3 * torch.randn(steps, networks, units, generator=source, dtype=torch.float64)


def test_recursive_least_squares_is_ridge_regression() -> None:
    inputs, start = regressors(3, 400, 12), torch.randn(3, 12, generator=generator(1, "test"), dtype=torch.float64)
    targets = torch.randn(400, 3, 1, generator=generator(2, "test"), dtype=torch.float64)
    rates = torch.tensor([1.0, 0.1, 30.0], dtype=torch.float64)
    learner = RecursiveLeastSquares(start.clone(), rates)
    for r, f in zip(inputs, targets, strict=True):
        learner.step(r, (learner.weights * r).sum(dim=1, keepdim=True) - f)
    for network, rate in enumerate(rates.tolist()):
        R, f, w = inputs[:, network], targets[:, network, 0], start[network]
        correlation = torch.eye(12, dtype=torch.float64) / rate + R.mT @ R
        expected = w + torch.linalg.solve(correlation, R.mT @ (f - R @ w))
        torch.testing.assert_close(learner.weights[network], expected, rtol=1e-8, atol=1e-9)


def test_the_inverse_correlation_matrix_stays_symmetric_and_positive() -> None:
    inputs = regressors(2, 6000, 64)
    learner = RecursiveLeastSquares(torch.zeros(2, 64, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    for r in inputs:
        learner.step(r, torch.zeros(2, 1, dtype=torch.float64))
    assert torch.equal(learner.inverse, learner.inverse.mT)
    eigenvalues = torch.linalg.eigvalsh(learner.inverse)
    assert eigenvalues.min() > 0
    assert eigenvalues.min() < 1e-4  # or the test would have been easy
    correlation = torch.eye(64, dtype=torch.float64) + torch.einsum("tni,tnj->nij", inputs, inputs)
    torch.testing.assert_close(torch.linalg.eigvalsh(correlation).flip(-1), 1 / eigenvalues, rtol=1e-6, atol=0)


def test_training_keeps_the_inverse_correlation_matrix_symmetric_and_positive() -> None:
    pack = trainer([1.0, 1.5, 1.9], units=100, task=TargetLearning(period=1200))
    pack.train_epoch()
    assert torch.equal(pack.squares.inverse, pack.squares.inverse.mT)
    assert torch.linalg.eigvalsh(pack.squares.inverse).min() > 0


@pytest.mark.parametrize("learn_every", [1, 2, 3])
def test_training_is_that_of_the_published_program(learn_every: int) -> None:
    task = TargetLearning(period=60, test_periods=2, learn_every=learn_every)
    pack = trainer([0.8, 1.2], task=task)  # no chaos, which would tell roundings apart
    expected = []
    for network in range(2):
        parameters = {name: value[network].numpy() for name, value in pack.parameters.items()}
        start, target = pack.x[network].numpy(), pack.target.numpy()
        expected.append(published_force(parameters, start, target, periods=1, test_periods=2, learn_every=learn_every))
    (result,) = [result_of_epoch for result_of_epoch in pack.run(1) if result_of_epoch.epoch == 1]
    for network, (weights, error) in enumerate(expected):
        np.testing.assert_allclose(pack.parameters["w_o"][network].numpy(), weights, rtol=1e-6, atol=1e-8)
        assert result.validation_loss[network].item() == pytest.approx(error, rel=1e-6)
    torch.testing.assert_close(pack.test()[0], result.validation_loss, rtol=0, atol=0)


def test_pack_equals_solo() -> None:
    gains = [0.9, 1.5, 1.9]
    together = list(trainer(gains).run(3))
    for index, gain in enumerate(gains):
        alone = list(trainer([gain], first_seed=index).run(3))
        for solo, packed in zip(alone, together, strict=True):
            torch.testing.assert_close(solo.validation_loss[0], packed.validation_loss[index], rtol=0, atol=0)
            torch.testing.assert_close(solo.train_loss[0], packed.train_loss[index], rtol=0, atol=0)


def test_a_network_that_diverges_leaves_its_neighbours_untouched() -> None:
    gains = [0.9, 1.5, 1.9]
    pack, healthy = trainer(gains), trainer(gains)
    pack.parameters["w_f"][1, 3] = float("inf")
    for result, other in zip(pack.run(2), healthy.run(2), strict=True):
        assert result.alive.tolist() == [True, False, True]
        assert other.alive.all()
        assert torch.equal(result.validation_loss[[0, 2]], other.validation_loss[[0, 2]])
    spectra = pack_spectra(pack.network(), SHORT.spectrum_inputs(1), initial_state=pack.initial_state)
    assert [spectrum.status for spectrum in spectra] == ["ok", "non-finite", "ok"]


def test_a_checkpoint_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    path, gains = tmp_path / "pack.safetensors", [0.9, 1.5, 1.9]
    expected = list(trainer(gains).run(4))
    stopped = trainer(gains)
    for result in stopped.run(2):
        save_checkpoint(path, stopped, result, ["a", "b", "c"])
    again = trainer(gains)
    assert torch.equal(load_checkpoint(path, again).validation_loss, expected[2].validation_loss)
    assert torch.equal(again.initial_state, stopped.initial_state)
    for result, other in zip(again.run(4), expected[3:], strict=True):
        assert torch.equal(result.validation_loss, other.validation_loss)
        assert torch.equal(result.train_loss, other.train_loss)
    with pytest.raises(UserError, match="is not of this pack"):
        load_checkpoint(path, trainer(gains, first_seed=1))


def test_untrained_networks_are_silent_below_a_gain_of_one_and_chaotic_above() -> None:
    task = TargetLearning(period=1200, spectrum_periods=1)
    quiet, chaotic = trainer([0.7] * 4, 200, task), trainer([1.8] * 4, 200, task)
    first = [
        pack_spectra(p.network(), task.spectrum_inputs(1), initial_state=p.initial_state, k=1) for p in (quiet, chaotic)
    ]
    # Around x = 0 the loop is linear: its largest exponent is log |1 - dt + dt lambda|, with |lambda| near g.
    for network, spectrum in enumerate(first[0]):
        jacobian = 0.9 * torch.eye(200) + 0.1 * quiet.parameters["M"][network]
        assert spectrum.maximum == pytest.approx(torch.linalg.eigvals(jacobian).abs().max().log().item(), abs=5e-3)
        assert spectrum.maximum < -0.01
    assert min(spectrum.maximum for spectrum in first[1]) > 0.001
    for pack, silent in ((quiet, True), (chaotic, False)):
        for _ in range(1000):
            pack.x = pack._advance(pack.x, torch.tanh(pack.x), torch.zeros(4, 1, dtype=torch.float64))
        assert (pack.x.abs().amax(dim=1) < 1e-6).tolist() == [silent] * 4


def test_networks_learn_between_gains_of_1_2_and_1_5() -> None:
    task = TargetLearning(period=200, test_periods=5)
    pack = trainer([1.2, 1.3, 1.4, 1.5], units=200, task=task)
    results = list(pack.run(15))
    untrained = pack.target.abs().mean().item()  # a silent output's
    assert results[0].validation_loss.tolist() == pytest.approx([untrained] * 4)
    assert results[-1].validation_loss.median() < 0.1 * untrained
    assert (results[-1].train_loss < 0.15 * untrained).all()


def test_the_spectrum_is_the_closed_loops() -> None:
    """Against forward-mode differentiation of the equation, from the state at which training ended."""
    pack = trainer([1.2, 1.5], units=12)
    list(pack.run(2))
    spectra = pack_spectra(pack.network(), SHORT.spectrum_inputs(1), initial_state=pack.initial_state)
    for network, spectrum in enumerate(spectra):
        M, w_f, w_o = (pack.parameters[name][network] for name in ("M", "w_f", "w_o"))

        def step(_: object, x: torch.Tensor, M=M, w_f=w_f, w_o=w_o) -> torch.Tensor:  # type: ignore[no-untyped-def]
            r = torch.tanh(x)
            return 0.9 * x + 0.1 * (r @ M.mT + (r @ w_o).unsqueeze(-1) * w_f)

        expected = lyapunov_spectrum(step, steps=SHORT.steps, initial_state=pack.initial_state[network], check=False)
        np.testing.assert_allclose(spectrum.exponents, expected.exponents, rtol=1e-9, atol=1e-9)
        leading = pack_spectra(pack.network(), SHORT.spectrum_inputs(1), initial_state=pack.initial_state, k=3)
        expected = lyapunov_spectrum(
            step, steps=SHORT.steps, initial_state=pack.initial_state[network], k=3, check=False
        )
        np.testing.assert_allclose(leading[network].exponents, expected.exponents, rtol=1e-9, atol=1e-9)


def test_initial_states_of_another_shape_are_refused() -> None:
    pack = trainer([1.2, 1.5])
    with pytest.raises(UserError, match=r"initial_state has shape \(3, 1, 24\): expected \(2, 1, 24\)"):
        pack_spectra(pack.network(), SHORT.spectrum_inputs(1), initial_state=torch.zeros(3, 1, 24))
