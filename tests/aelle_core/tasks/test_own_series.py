"""Forecasts of one's own series: which part is for what, and free runs against what no network was trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aelle_core import Study
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, get_preset, run_study
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast


def series_of(steps: int = 400, features: int = 2) -> np.ndarray:
    """Each number is its step, and half of it: where a value stands is seen in the value."""
    return np.arange(steps, dtype=float)[:, None] / np.arange(1, features + 1)


def saved(directory: Path, values: np.ndarray) -> str:
    path = directory / "own.npy"
    np.save(path, values)
    return str(path)


def made(path: str, **options: object) -> Forecast:
    task = get_task("forecast", options={"data": path, **options})
    assert isinstance(task, Forecast)
    return task


def steps_of(task: Forecast, standardised: torch.Tensor) -> set[int]:
    """Which steps of the series values are, the standardisation undone by the training part's own mean and spread."""
    known = torch.cat(list(task.source.training()))
    first = standardised[..., 0].double() * known[:, 0].std() + known[:, 0].mean()
    return set(first.round().long().flatten().tolist())


def test_training_validation_and_free_runs_share_no_step_and_stand_in_the_order_of_time(tmp_path: Path) -> None:
    task = made(saved(tmp_path, series_of()), window=10, gap=10, context=15, free_steps=30)
    training = steps_of(task, task.splits.training.inputs) | steps_of(task, task.splits.training.targets)
    validation = steps_of(task, task.splits.validation.inputs) | steps_of(task, task.splits.validation.targets)
    free = steps_of(task, task.held_out.context) | steps_of(task, task.held_out.continuation)
    assert max(training) + 10 < min(validation)
    assert max(validation) + 10 < min(free)
    assert max(free) < 400
    assert task.held_out.context.shape[1:] == (15, 2)
    assert task.held_out.continuation.shape[1:] == (30, 2)


def test_free_runs_have_the_room_of_the_test_part_and_do_not_overlap(tmp_path: Path) -> None:
    task = made(saved(tmp_path, series_of(2000)))
    held = task.held_out
    assert held.context.shape[1] == 76  # a fifth of the 380 steps that test
    assert held.continuation.shape[:2] == (1, 304)
    several = made(saved(tmp_path, series_of(2000)), context=20, free_steps=60).held_out.continuation
    assert len(several) == 6
    assert bool((several[1:, 0, 0] > several[:-1, -1, 0]).all())
    assert held.exponents == {}
    assert held.interval == 1


def test_many_sequences_are_split_as_wholes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((20, 80, 3))
    task = made(saved(tmp_path, values), window=8, context=10, free_steps=40)
    parts = [task.source.training(), task.source.judged("validation", 99), task.source.judged("test", 99)]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert all(len(series) == 80 for part in parts for series in part)
    firsts = [float(series[0, 0]) for part in parts for series in part]
    assert len(set(firsts)) == 20


@pytest.mark.parametrize(
    ("steps", "options", "sentence"),
    [
        (400, {"system": "henon"}, "system='henon' and data=.*expected one of them"),
        (400, {"length": 50}, "length=50 and data="),
        (400, {"free_steps": 300}, "test part of .* has at most .* steps .* expected"),
        (400, {"window": 200}, "expected more, for three parts beside two gaps of 200"),
        (30, {}, "30 steps: expected at least 40"),
        (400, {"validation": 0.7}, "validation=0.7: expected a share"),
        (400, {"window": 100, "gap": 0}, "expected more than window=100"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    tmp_path: Path, steps: int, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        made(saved(tmp_path, series_of(steps)), **options).check()


def test_too_few_windows_for_a_mini_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected at least 1000, one mini-batch"):
        made(saved(tmp_path, series_of())).check(batch_size=1000)


def test_a_feature_that_never_changes_and_data_that_are_not_named_are_refused(tmp_path: Path) -> None:
    still = series_of()
    still[:, 1] = 3
    with pytest.raises(UserError, match="'feature 2' is 3 in the whole training part"):
        made(saved(tmp_path, still)).check()
    with pytest.raises(UserError, match="no data: expected a file or directory, as --data"):
        get_task("forecast", options=get_preset("own-series").task_options).check()


def test_a_study_of_ones_own_series_is_judged_by_free_runs_and_travels_with_its_data(tmp_path: Path) -> None:
    angle = np.linspace(0, 60, 900)
    path = saved(tmp_path, np.stack([np.sin(angle), np.cos(2 * angle)], axis=1))
    preset = get_preset("own-series")
    changes = {"networks": 2, "epochs": 1, "units": (5,), "cells": ("gru", "esn"), "spectrum_epochs": (0, 1)}
    options = {"data": path, "window": 12, "loop_steps": 20, "loop_warmup": 5}
    study: Study = preset.replace(task_options=options, exponents=4, spectrum_sequences=2, **changes)
    run = RunDirectory(tmp_path / "run")
    run_study(study, run)
    Path(path).unlink()
    rows = run.store.read(study=study.identity).to_pylist()
    last = [row for row in rows if row["epoch"] == 1]
    assert len(last) == 4
    assert all(np.isfinite(row["climate"]) and row["spectrum_closed_loop"] for row in last)
    found = get_task("forecast", options=options).found_with(run.path)
    assert isinstance(found, Forecast)
    assert found.held_out.continuation.shape[2] == 2
