"""Systems of the package dysts by name: their equations on tensors are the package's own, and their spectra ours."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.systems import Flow, get_system
from benchmarks.systems.measure import Measured, mean_divergence
from benchmarks.systems.page import agrees, broken_rules, page

needs_dysts = pytest.mark.skipif(find_spec("dysts") is None, reason="dysts is not installed: aelle[systems]")


@needs_dysts
@pytest.mark.parametrize(
    ("theirs", "ours", "parameters"),
    [
        ("Lorenz", "lorenz63", {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}),
        ("Rossler", "rossler", {"a": 0.2, "b": 0.2, "c": 5.7}),
        ("Henon", "henon", {"a": 1.4, "b": 0.3}),
    ],
)
def test_equations_are_the_ones_that_are_written_here(theirs: str, ours: str, parameters: dict[str, float]) -> None:
    system, known = get_system(f"dysts:{theirs}", **parameters), get_system(ours)
    state = known.on_attractor(3, seed=1)
    if isinstance(system, Flow) and isinstance(known, Flow):
        torch.testing.assert_close(system.velocity(state), known.velocity(state))
    else:
        torch.testing.assert_close(system.advance(state), known.advance(state))


@needs_dysts
def test_equations_on_vectors_floors_and_jumps_are_the_ones_that_are_written_down() -> None:
    state = torch.tensor([[0.3, -0.2, 0.7], [-0.4, 0.1, 0.2]], dtype=torch.float64)
    mu, eta = 1.2, 0.5
    x, y, z = state.unbind(-1)
    expected = torch.stack([mu * x + y - x * z, -x, -eta * z + eta * (x > 0) * x**2], dim=-1)
    jumping = get_system("dysts:AnishchenkoAstakhov", mu=mu, eta=eta)
    torch.testing.assert_close(jumping.velocity(state), expected)  # type: ignore[attr-defined]

    hopfield = get_system("dysts:Hopfield")
    weights = torch.tensor(hopfield.constants["k"], dtype=torch.float64)  # type: ignore[attr-defined]
    vector = torch.linspace(-1, 1, 6, dtype=torch.float64)
    expected = -vector / 2.5 + (1 + torch.tanh(10 * (weights @ vector))) / 2 - 0.5
    velocity = hopfield.velocity(vector.expand(2, -1))  # type: ignore[attr-defined]
    torch.testing.assert_close(velocity, expected.expand(2, -1))

    baker = get_system("dysts:Baker")
    (moved,) = baker.advance(torch.tensor([[0.7, 0.4]], dtype=torch.float64))
    torch.testing.assert_close(
        moved, torch.tensor([0.4, 0.5 + 0.2 * baker.parameters["a"]], dtype=torch.float64), atol=1e-9, rtol=0
    )


@needs_dysts
def test_stiff_equations_take_shorter_steps() -> None:
    """Samples are the same with a tenth of the step."""
    system = get_system("dysts:BeerRNN")
    assert isinstance(system, Flow) and system.substeps > get_system("dysts:Lorenz").substeps  # type: ignore[attr-defined]
    state = system.draw(2, torch.Generator().manual_seed(0))
    sample = system.advance(state)
    system.substeps *= 10
    torch.testing.assert_close(sample, system.advance(state), rtol=0, atol=1e-5)


@needs_dysts
def test_samples_are_near_the_start_that_the_package_keeps_and_angles_are_folded() -> None:
    system = get_system("dysts:DoublePendulum")
    drawn = system.draw(50, torch.Generator().manual_seed(0))
    spread = torch.tensor(system.scale)  # type: ignore[attr-defined]
    assert bool(((drawn - torch.tensor(system.start)).abs() < 0.2 * spread + 1e-9).all())  # type: ignore[attr-defined]
    seen = system.observe(system.advance(10 * drawn))
    assert seen.shape == (50, 4) and float(seen[:, :2].abs().max()) <= 1


@needs_dysts
def test_a_map_has_its_exponents_and_they_add_up_to_its_divergence() -> None:
    system = get_system("dysts:Henon")
    spectrum = lyapunov_spectrum(
        system, initial_state=system.on_attractor(8, seed=1), steps=800, warmup=50, check=False
    )
    assert abs(spectrum.exponents[0] - 0.41922) < 3 * spectrum.stderr[0] + 1e-3
    assert spectrum.exponents.sum() == pytest.approx(math.log(0.3), abs=1e-9)
    assert mean_divergence(system, system.on_attractor(4), 20)[0] == pytest.approx(math.log(0.3), abs=1e-9)


@needs_dysts
def test_mistakes_are_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="did you mean 'Lorenz'"):
        get_system("dysts:Lorentz")
    with pytest.raises(UserError, match="has a delay"):
        get_system("dysts:IkedaDelay")
    with pytest.raises(UserError, match="changes its parameters at every step"):
        get_system("dysts:BlinkingVortexMap")
    with pytest.raises(UserError, match="has no parameter 'gamma'"):
        get_system("dysts:Lorenz", gamma=1.0)


def test_the_page_says_which_of_two_spectra_obeys_the_rules() -> None:
    good = Measured("dysts:A", (1.0, 0.001, -3.0), (0.01, 0.01, 0.01), -2.0, (1.0, 0.2, -3.2), True)
    assert broken_rules(good, good.exponents) == []
    assert broken_rules(good, good.stored) == ["none is zero (0.2)"]
    assert broken_rules(good, (1.0, 0.0, -4.0)) == ["sum -3, not -2"]
    assert not agrees(good)
    written = page([good, Measured("dysts:B", obstacle="dysts:B has a delay")], "command", 3)
    assert "Ours obey both in 1 of 1, the kept ones in 0" in written
    assert "| A | 1 ± 0.01, 0.001 ± 0.01, -3 ± 0.01 | 1, 0.2, -3.2 | -2 | - | none is zero (0.2) |" in written
    assert np.isnan(Measured("dysts:B").divergence)
