"""Measures of free runs against cases whose answer is known."""

import math

import numpy as np
import pytest

from aelle_core.evaluation.free_runs import FreeRuns, measure_all, measures
from aelle_core.evaluation.free_runs.exponents import exponents_error
from aelle_core.foundation.errors import UserError
from aelle_core.pretrained import load_spectra


def series(seed: int = 0, sequences: int = 3, steps: int = 400, features: int = 2) -> np.ndarray:
    """Noisy oscillations around zero."""
    source = np.random.default_rng(seed)
    time = np.arange(steps)
    phases = source.uniform(0, 2 * math.pi, (sequences, 1, features))
    waves = np.sin(2 * math.pi * time[None, :, None] / 20 + phases)
    return waves + 0.2 * source.standard_normal((sequences, steps, features))


def test_a_perfect_run_is_perfect_by_every_measure() -> None:
    data = series()
    measured = measure_all(FreeRuns(data[None], data, interval=0.5, rate=0.1))
    assert measured["valid_prediction_time"] == pytest.approx(400 * 0.5 * 0.1)
    for name in ("climate", "d_stsp", "d_h", "diverged_share", "dead_share"):
        assert measured[name] == pytest.approx(0, abs=1e-7), name


def test_other_trajectories_of_one_system_have_its_climate_and_other_systems_have_not() -> None:
    data, same = series(0), series(1)
    shifted, slow = same + 3.0, series(1)[:, ::1].repeat(3, axis=1)[:, :400]
    silent, wild = np.zeros_like(data), np.full_like(data, np.nan)
    measured = measure_all(FreeRuns(np.stack([same, shifted, slow, silent, wild]), data))
    for name in ("climate", "d_stsp", "d_h"):
        assert measured[name][0] < 0.35 * measured[name][4], name
    assert measured["climate"][1] > 3 * measured["climate"][0]
    assert measured["d_stsp"][1] > 10 * abs(measured["d_stsp"][0])
    assert measured["d_h"][2] > 3 * measured["d_h"][0]
    assert measured["d_h"][1] == pytest.approx(measured["d_h"][0])  # a shift has no rhythm
    np.testing.assert_allclose(measured["dead_share"], [0, 0, 0, 1, 0])
    np.testing.assert_allclose(measured["diverged_share"], [0, 0, 0, 0, 1])
    assert measured["valid_prediction_time"][4] == 0


def test_valid_prediction_time_counts_the_steps_before_the_error_is_too_large() -> None:
    data = series(sequences=2)
    run = data.copy()
    limit = 0.4 * np.linalg.norm(data.reshape(-1, 2).std(axis=0))
    run[0, 30, 0] += 1.01 * limit
    run[1, 10, 1] += 0.99 * limit  # not yet
    run[1, 50, 1] = np.inf
    prediction_time = measures["valid_prediction_time"].of(FreeRuns(run[None], data))
    assert prediction_time == pytest.approx((30 + 50) / 2)


def test_distance_between_histograms_is_half_the_l1_distance() -> None:
    data = np.tile(np.array([-1.0, 1.0]), 200).reshape(1, 400, 1)
    run = np.full((1, 1, 400, 1), 1.0)
    distance = measures["climate"].of(FreeRuns(run, data))
    # Half of the mass of coordinates is elsewhere; so are all differences at odd lags, and none at lag 10.
    assert distance == pytest.approx((0.5 + 1 + 1 + 0) / 4)


def test_state_space_divergence_of_two_gaussian_clouds_is_near_the_closed_form() -> None:
    source = np.random.default_rng(1)
    data = source.standard_normal((1, 20_000, 1))
    data /= data.std()
    same = data[:, ::-1]
    divergences = measures["d_stsp"].of(FreeRuns(np.stack([same, same + 1, same + 2]), data))
    # Clouds N(0, 1.1) and N(m, 1.1), seen from N(0, 1): m^2 / 2.2 nats. 500 states are too few for the tails of both.
    np.testing.assert_allclose(divergences, [0, 1 / 2.2, 4 / 2.2], atol=0.03, rtol=0.8)
    assert (divergences[1:] > 0.9 * np.array([1 / 2.2, 4 / 2.2])).all()


def test_hellinger_distance_of_spectra_that_do_not_meet_is_one() -> None:
    time = np.arange(512)
    data = np.sin(2 * math.pi * time / 4).reshape(1, -1, 1)
    run = np.sin(2 * math.pi * time / 64).reshape(1, 1, -1, 1)
    assert measures["d_h"].of(FreeRuns(run, data)) == pytest.approx(1, abs=1e-3)


def test_losses_of_measures_rank_as_the_measures_do() -> None:
    values = np.array([0.0, 0.5, 2.0])
    assert (np.diff(measures["climate"].as_loss(values)) > 0).all()
    turned = measures["valid_prediction_time"].as_loss(values)
    assert (np.diff(turned) < 0).all() and (turned > 0).all()


def test_exponents_are_compared_where_they_are_not_negative() -> None:
    closed = np.array([[0.05, 0.0, -0.7, -0.8], [0.0, -0.1, -0.2, -0.3]])
    error = exponents_error(closed, {0: 1.0, 1: 0.0, 2: -14.0}, 0.05)
    np.testing.assert_allclose(error, [0, (1 + 2) / 2], atol=1e-12)
    assert np.isnan(exponents_error(closed, {9: -1.0}, 0.05)).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="expected \\(networks, sequences, steps, features\\)"):
        FreeRuns(np.zeros((2, 3, 4, 1)), np.zeros((3, 5, 1)))


@pytest.mark.parametrize("goal", ["climate", "valid_prediction_time", "d_stsp", "d_h"])
def test_whatever_a_good_network_is_the_outcome_is_positive_and_keeps_the_order(goal: str) -> None:
    rows = load_spectra("lorenz")
    given = np.array([value for value in rows[goal].to_pylist() if value is not None])
    outcome = measures[goal].as_loss(given)
    assert bool((outcome > 0).all())
    assert bool(np.isfinite(np.log(outcome)).all())
    order = np.argsort(-given if measures[goal].higher else given, kind="stable")
    assert bool((np.diff(outcome[order]) >= 0).all())
    assert len(np.unique(outcome)) == len(np.unique(given))
