"""Known systems: their spectra are the published ones, and their samples follow their seeds."""

import doctest
import importlib
import math

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.foundation.errors import UserError
from aelle_core.systems import KnownSystem, get_system, systems

# System, parameters, sequences, steps, warmup: seconds each. The others follow below, with more dimensions.
SHORT = [
    ("henon", {}, 8, 1500, 50),
    ("lorenz63", {}, 8, 400, 50),
    ("lorenz63", {"sigma": 16.0, "rho": 45.92, "beta": 4.0}, 8, 300, 50),
    ("rossler", {}, 8, 500, 100),
    ("duffing", {}, 8, 500, 100),
]
LONG = [
    ("mackey_glass", {"delay": 23.0, "points": 47}, 8, 500, 100),
    ("lorenz96", {}, 3, 150, 50),
    ("kuramoto_sivashinsky", {}, 4, 250, 50),
]


def check_against_what_is_published(
    name: str, parameters: dict[str, float], count: int, steps: int, warmup: int
) -> None:
    system = get_system(name, **parameters)
    known = system.published
    assert known is not None
    spectrum = lyapunov_spectrum(
        system,
        initial_state=system.on_attractor(count, seed=3),
        steps=steps,
        warmup=warmup,
        k=max(known.exponents) + 1,
        check=False,
    )
    for rank, value in known.exponents.items():
        # A direction along the flow is one of rounding alone, so its spread over sequences may be next to nothing.
        spread = max(spectrum.stderr[rank] / system.interval, 1 / (steps * system.interval))
        assert abs(spectrum.exponents[rank] / system.interval - value) < 3 * spread + known.tolerance, (name, rank)


@pytest.mark.parametrize(("name", "parameters", "count", "steps", "warmup"), SHORT)
def test_spectra_are_the_published_ones(
    name: str, parameters: dict[str, float], count: int, steps: int, warmup: int
) -> None:
    check_against_what_is_published(name, parameters, count, steps, warmup)


@pytest.mark.parametrize(("name", "parameters", "count", "steps", "warmup"), LONG)
def test_spectra_of_larger_systems_are_the_published_ones(
    name: str, parameters: dict[str, float], count: int, steps: int, warmup: int
) -> None:
    check_against_what_is_published(name, parameters, count, steps, warmup)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("lorenz63", -(10 + 1 + 8 / 3)), ("duffing", -0.25), ("lorenz96", -40.0), ("henon", math.log(0.3))],
)
def test_exponents_add_up_to_the_divergence_of_the_equation(name: str, rate: float) -> None:
    system = get_system(name)
    spectrum = lyapunov_spectrum(system, initial_state=system.on_attractor(2), steps=5, check=False)
    assert spectrum.exponents.sum() / system.interval == pytest.approx(rate, abs=2e-4 * abs(rate))


@pytest.mark.parametrize("name", list(systems))
def test_samples_follow_their_seed_and_have_the_noise_that_was_asked_for(name: str) -> None:
    system: KnownSystem = get_system(name)
    system.__class__.transient, kept = 60, system.__class__.transient
    try:
        clean = system.sample(3, 20, seed=5)
        assert clean.shape == (3, 20, system.features) and clean.dtype == torch.float64
        assert torch.equal(clean, system.sample(3, 20, seed=5))
        assert not torch.equal(clean, system.sample(3, 20, seed=6))
        errors = (system.sample(3, 20, seed=5, noise=0.1) - clean) / clean.flatten(0, 1).std(dim=0)
        assert float(errors.std()) == pytest.approx(0.1, rel=0.35)
        assert float(errors.mean()) == pytest.approx(0, abs=4 * 0.1 / math.sqrt(errors.numel()))
    finally:
        system.__class__.transient = kept


def test_a_step_of_mackey_glass_follows_the_linear_equation_where_there_is_no_production() -> None:
    system = get_system("mackey_glass", production=0.0)
    state = system.draw(2, torch.Generator().manual_seed(0))
    ahead = system.advance(state)[:, -1]
    np.testing.assert_allclose(ahead, state[:, -1] * math.exp(-0.1), rtol=1e-8)


def test_small_waves_of_kuramoto_sivashinsky_grow_as_the_linear_equation_says() -> None:
    system = get_system("kuramoto_sivashinsky")
    x = 22 * torch.arange(64, dtype=torch.float64) / 64
    wave = 2 * torch.pi / 22 * 2
    state = 1e-9 * torch.cos(wave * x).unsqueeze(0)
    growth = math.exp((wave**2 - wave**4) * system.interval)
    torch.testing.assert_close(system.advance(state), growth * state, rtol=1e-7, atol=1e-17)


@pytest.mark.parametrize("name", ["lookup", *(f"{system_name}" for system_name in systems)])
def test_examples_in_the_documentation_run(name: str) -> None:
    module = importlib.import_module(systems[name].__module__ if name != "lookup" else "aelle_core.systems.lookup")
    assert doctest.testmod(module).failed == 0


def test_mistakes_are_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="did you mean 'lorenz63'"):
        get_system("lorenz63x")
    with pytest.raises(UserError, match="expected sigma, rho, beta"):
        get_system("lorenz63", gamma=1.0)
    with pytest.raises(UserError, match="whole number of steps"):
        get_system("mackey_glass", interval=0.7)
    with pytest.raises(UserError, match="steps=0"):
        get_system("henon").sample(1, 0)
