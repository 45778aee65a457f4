"""Second copies of a few sequences tell what those of all would."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, cells
from aelle_core.lyapunov import LyapunovSpectrum, engine, few_checked, pack_spectra, precision, stretches
from aelle_core.lyapunov.few_checked import CHECKED, FEWEST, SMALLEST
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.kernels.tangents import Frame
from aelle_core.lyapunov.systems.stack import StackSystem
from aelle_core.lyapunov.systems.trajectory import TrajectorySystem
from benchmarks.spectrum.cases import draw_inputs, draw_network
from tests.helpers.spectra import stacked

SEQUENCES = 15
KNOWN = [name for name, cell in cells.items() if cell.knows_kinks()]
UNKNOWN = [name for name, cell in cells.items() if not cell.knows_kinks()]


@pytest.fixture
def trajectories(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trajectories, second copies among them, were followed in each run."""
    counted: list[int] = []
    choose = stretches._kernel_for

    def counting(*system: Any) -> Any:
        kernel = choose(*system)

        def make(frame: Frame) -> Any:
            counted.append(frame.trajectories)
            return kernel(frame)

        return make

    monkeypatch.setattr(stretches, "_kernel_for", counting)
    return counted


@pytest.fixture(autouse=True)
def small_systems_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_checked, "SMALLEST", 2)


def drawn(name: str, gain: float = 1.0) -> tuple[Network, torch.Tensor]:
    network = draw_network(name, 6, scale=0.4, gain=gain, features=2, seed=3)
    return network, draw_inputs(SEQUENCES, 20, 2, seed=4)


def all_checked(monkeypatch: pytest.MonkeyPatch, *given: Any, **how: Any) -> LyapunovSpectrum:
    with monkeypatch.context() as patched:
        patched.setattr(precision, "growths_by_few", lambda *_: None)
        return lyapunov_spectrum(*given, **how)


@pytest.mark.parametrize("name", KNOWN)
def test_few_copies_tell_what_all_tell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = drawn(name)
    spectrum, expected = lyapunov_spectrum(network, inputs), all_checked(monkeypatch, network, inputs)
    assert spectrum.resolved is not None and expected.resolved is not None
    np.testing.assert_array_equal(spectrum.resolved, expected.resolved)
    resolved = expected.resolved
    np.testing.assert_allclose(
        spectrum.per_sequence[:, resolved], expected.per_sequence[:, resolved], rtol=0, atol=1e-9
    )
    assert spectrum.rounding_error is not None and (spectrum.rounding_error > 0).all()


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "rnn_relu", "exprnn"])
def test_two_sequences_have_copies_and_no_other(name: str, trajectories: list[int]) -> None:
    lyapunov_spectrum(*drawn(name))
    assert trajectories == [SEQUENCES + CHECKED]


@pytest.mark.parametrize("name", UNKNOWN)
def test_every_sequence_has_a_copy_where_kinks_are_not_known(name: str, trajectories: list[int]) -> None:
    lyapunov_spectrum(*drawn(name))
    assert trajectories == [2 * SEQUENCES]


@pytest.mark.parametrize(
    ("name", "weight", "biases"), [("rnn_relu", "weight_ih", ("bias_ih", "bias_hh")), ("exprnn", "V", ())]
)
def test_a_sequence_that_comes_too_near_to_a_kink_has_a_copy(
    name: str, weight: str, biases: tuple[str, ...], trajectories: list[int]
) -> None:
    """Where two inputs cancel in a unit, the last place of a product decides on which side of its kink it is."""
    network, inputs = drawn(name)
    for bias in biases:
        network.parameters[bias].zero_()
    if name == "exprnn":
        network.parameters["b"].abs_()  # the state jumps where a sign flips
    first = network.parameters[weight][0].double()
    inputs = inputs.double()
    inputs[9, 0] = torch.stack([-first[1] / first[0], torch.ones(()).double()])
    lyapunov_spectrum(network, inputs)
    assert trajectories == [SEQUENCES + CHECKED, 3]


def test_units_that_rest_at_their_kinks_before_the_first_input_are_not_near_them(trajectories: list[int]) -> None:
    network, inputs = drawn("rnn_relu")
    for name in ("bias_ih", "bias_hh"):
        network.parameters[name].zero_()
    inputs[:, :3] = 0
    lyapunov_spectrum(network, inputs)
    assert trajectories == [SEQUENCES + CHECKED]


def test_a_unit_without_weights_is_not_near_its_kink(trajectories: list[int]) -> None:
    network, inputs = drawn("rnn_relu")
    for weights in network.parameters.values():
        weights[2] = 0
    lyapunov_spectrum(network, inputs)
    assert trajectories == [SEQUENCES + CHECKED]


def test_modrelu_units_are_not_near_their_kinks_before_the_first_input(trajectories: list[int]) -> None:
    network, inputs = drawn("exprnn")
    network.parameters["b"][::2] = network.parameters["b"][::2].abs()
    inputs[:, :2] = 0
    lyapunov_spectrum(network, inputs)
    assert trajectories == [SEQUENCES + CHECKED]


def test_tangents_rise_after_a_step_at_which_all_are_dead() -> None:
    """Growth of e^2 a step behind a zero Jacobian: what a step rounds grows with it."""
    jacobians = torch.eye(3, dtype=torch.float64).repeat(10, 6, 1, 1) * np.exp(2)
    jacobians[:, 1] = 0
    system = TrajectorySystem(jacobians, torch.float64, None)
    found = engine.evolve_with_few(system, CHECKED, k=3, steps=6, warmup=0, hopeless=lambda *_: False)
    assert found is not None
    torch.testing.assert_close(found[1].rises, torch.full((1, 8), 8.0, dtype=torch.float64))


@pytest.mark.parametrize("warmup", [0, 7])
def test_units_at_rest_are_resolved_behind_a_warm_up(warmup: int) -> None:
    """Directions that die within it are made up anew, in copies as in the trajectory."""
    network, inputs = drawn("rnn_relu")
    spectrum = lyapunov_spectrum(network, inputs, warmup=warmup)
    assert spectrum.resolved is not None and spectrum.resolved.all()
    assert spectrum.dead_directions > 0


@pytest.mark.parametrize(("rises", "settled"), [(0.0, True), (10.0, True), (15.0, False)])
def test_where_tangents_rise_more_a_kink_is_near_from_further_away(rises: float, settled: bool) -> None:
    known = growth_with(rises=0.0, margins=1e-6, strays=1e-13)
    others = growth_with(rises=rises, margins=1e-6, strays=0.0)
    assert bool(few_checked._judged(known, others)[1].all()) is settled
    smooth = growth_with(rises=rises, margins=np.inf, strays=0.0)
    assert few_checked._judged(known, smooth)[1].all()


def growth_with(**given: float) -> Growth:
    """What a calm sequence's tangents did, but for what is given."""
    calm = {"residuals": 0.0, "spreads": 1.0, "paces": 1.0}
    each = {name: torch.full((1, 1), value, dtype=torch.float64) for name, value in (calm | given).items()}
    sums = torch.zeros(1, 1, 2, dtype=torch.float64)
    return Growth(
        logarithms=sums,
        errors=torch.zeros_like(sums),
        ceilings=sums,
        finite=torch.ones(1, 1, dtype=torch.bool),
        steps=10,
        **each,
    )


def test_few_sequences_all_have_copies(trajectories: list[int]) -> None:
    network, inputs = drawn("gru")
    lyapunov_spectrum(network, inputs[: FEWEST - 1])
    assert trajectories == [2 * (FEWEST - 1)]


def test_small_systems_have_copies_of_all(monkeypatch: pytest.MonkeyPatch, trajectories: list[int]) -> None:
    monkeypatch.setattr(few_checked, "SMALLEST", SMALLEST)
    lyapunov_spectrum(*drawn("gru"))
    assert trajectories == [2 * SEQUENCES]


def test_a_hopeless_network_is_given_up_early(trajectories: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first stretch of the checked sequences shows is enough: all have copies then."""
    monkeypatch.setattr(stretches, "_LONGEST", 4)
    monkeypatch.setattr(engine, "_TOLD_APART", 4)
    seen: list[int] = []
    real = StackSystem.linearise

    def watched(self: StackSystem, first: int, steps: int, *rest: Any) -> Any:
        seen.append(first)
        return real(self, first, steps, *rest)

    monkeypatch.setattr(StackSystem, "linearise", watched)
    spectrum = lyapunov_spectrum(*drawn("lstm", gain=200.0))
    assert trajectories == [SEQUENCES + CHECKED, 2 * SEQUENCES]
    assert seen == [0, 0, 4, 8, 12, 16]
    assert spectrum.resolved is not None
    assert not spectrum.resolved.all()


def lost_direction() -> np.ndarray:
    """One step whose determinant, 1, is the difference of numbers that float64 rounds by more."""
    return np.array([[1e9, 1e9 + 1], [1e9 - 1, 1e9]])  # 1e18 - (1e18 - 1)


@pytest.mark.parametrize(
    ("ill", "copies"),
    [(0, [2 * 8]), (9, [3])],  # where a checked one is bad, of all others; else of the bad one, which alone has two
)
def test_one_ill_conditioned_sequence_is_found_wherever_it_stands(
    ill: int, copies: list[int], monkeypatch: pytest.MonkeyPatch, trajectories: list[int]
) -> None:
    jacobians = np.random.default_rng(0).normal(size=(10, 4, 2, 2))
    jacobians[ill, 2] = lost_direction()
    spectrum = lyapunov_spectrum(jacobians)
    assert trajectories == [10 + CHECKED, *copies]
    expected = all_checked(monkeypatch, jacobians)
    assert spectrum.resolved is not None and expected.resolved is not None
    np.testing.assert_array_equal(spectrum.resolved, [True, False])
    np.testing.assert_array_equal(expected.resolved, [True, False])


@pytest.mark.parametrize(("count", "copies"), [(1, 3), (8, 2 * 10)])  # of one; of all, as most are bad
def test_bad_steps_made_singly_are_not_taken_for_calm_ones_that_share(
    count: int, copies: int, trajectories: list[int]
) -> None:
    """Calm sequences share factorisations over eight steps, in which the tangents spread as far as in one bad step."""
    random = np.random.default_rng(0)
    spread = np.exp(-np.linspace(0, 1, 8) * np.where(np.arange(10) >= 10 - count, 12.0, 1.5)[:, None])
    turned = np.linalg.qr(random.normal(size=(2, 10, 40, 8, 8)))[0]
    jacobians = turned[0] @ (spread[:, None, :, None] * turned[1])
    lyapunov_spectrum(jacobians)
    assert trajectories == [10 + CHECKED, copies]


def test_given_jacobians_are_not_copied_for_second_copies(tmp_path: Path) -> None:
    """A memory-mapped file is read a stretch at a time, and may be larger than the memory."""
    np.save(tmp_path / "jacobians.npy", np.random.default_rng(0).normal(size=(10, 6, 3, 3)))
    given = np.load(tmp_path / "jacobians.npy", mmap_mode="r")
    system = TrajectorySystem(given, torch.float64, None)
    together = system.of_sequences([*range(10), 0, 1])
    assert together.jacobians is given
    assert together.sequences == 12
    rest = together.of_sequences(slice(10, None)).linearise(2, 3, 1, 3, None)[1]
    first = system.of_sequences(slice(None, 2)).linearise(2, 3, 1, 3, None)[1]
    torch.testing.assert_close(rest.at(1), first.at(1), rtol=0, atol=0)
    torch.testing.assert_close(first.at(1), torch.from_numpy(np.array(given[:2, 3])), rtol=0, atol=0)


def test_sequences_keep_their_order() -> None:
    network, inputs = drawn("lstm")
    whole = lyapunov_spectrum(network, inputs, running=5)
    for number in (0, 1, 2, 14):
        alone = lyapunov_spectrum(network, inputs[number : number + 1])
        np.testing.assert_allclose(np.sort(whole.per_sequence[number]), np.sort(alone.exponents), atol=1e-11)
    assert whole.running is not None
    np.testing.assert_allclose(whole.running[-1], whole.exponents, atol=1e-12)


def test_an_ill_conditioned_network_of_a_pack_does_not_change_its_neighbours(trajectories: list[int]) -> None:
    parts = [draw_network("lstm", 6, scale=0.4, gain=gain, features=2, seed=3) for gain in (1.0, 200.0, 1.2)]
    pack = Network(parts[0].cell, stacked([part.parameters for part in parts]))
    inputs = draw_inputs(SEQUENCES, 20, 2, seed=4)
    spectra = pack_spectra(pack, inputs, check=True)
    assert trajectories == [3 * (SEQUENCES + CHECKED), 2 * (SEQUENCES - CHECKED)]
    for spectrum, network in zip(spectra, parts, strict=True):
        alone = lyapunov_spectrum(network, inputs)
        assert spectrum.resolved is not None and alone.resolved is not None
        np.testing.assert_array_equal(spectrum.resolved, alone.resolved)
        np.testing.assert_allclose(spectrum.exponents[alone.resolved], alone.exponents[alone.resolved], atol=1e-9)
    assert spectra[1].resolved is not None and not spectra[1].resolved.all()
