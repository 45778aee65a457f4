"""Forecasters: the loss with noise and residual, ridge readouts, and closed loops from the trained pack."""

import numpy as np
import pytest
import torch

from aelle_core import Study
from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, run_study
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast
from aelle_core.training import ForecastTrainer, NetworkSettings
from aelle_core.training.forecast.ridge import Ridge

OPTIONS = {"system": "henon", "series": 4, "length": 60, "window": 10, "context": 20, "free_steps": 40}
OPTIONS |= {"loop_steps": 30, "loop_warmup": 5}


@pytest.fixture(scope="module")
def task() -> Forecast:
    made = get_task("forecast", options=OPTIONS)
    assert isinstance(made, Forecast)
    return made


def pack(task: Forecast, cell: str = "gru", **options: float | str) -> ForecastTrainer:
    settings = [NetworkSettings(seed, 0.4, 0.01, options={"residual": kind, **options}) for seed, kind in
                enumerate(("no", "yes"))]  # fmt: skip
    return ForecastTrainer(get_cell(cell, task.input_size, 6), task, settings, batch_size=8)


def test_windows_hold_the_next_step_and_are_standardised_by_the_training_series(task: Forecast) -> None:
    examples = task.splits.training
    torch.testing.assert_close(examples.inputs[:, 1:], examples.targets[:, :-1])
    whole = task._standardised(torch.cat(list(task._training_series)))
    torch.testing.assert_close(whole.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(whole.std(dim=0), torch.ones(2), atol=1e-5, rtol=0)
    held = task.held_out
    assert held.context.shape == (8, 20, 2) and held.continuation.shape == (8, 40, 2)
    assert held.exponents[0] == 0.41922


def test_the_loss_is_the_squared_error_of_the_next_step_with_and_without_residual(task: Forecast) -> None:
    trainer = pack(task)
    losses, _ = trainer.evaluate(task.splits.validation)
    examples, loop = task.splits.validation, trainer.closed_loop()
    for network in range(2):
        errors = []
        for length in range(1, task.steps + 1):  # the first output after so many inputs
            system = loop.system(examples.inputs[:, :length])
            errors.append((system.first_output[network] - examples.targets[:, length - 1]).square().mean())
        assert float(losses[network]) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)


def test_noise_comes_on_inputs_in_training_alone_and_follows_the_seed(task: Forecast) -> None:
    quiet, noisy, again = pack(task), pack(task, input_noise=0.5), pack(task, input_noise=0.5)
    torch.testing.assert_close(quiet.evaluate(task.splits.validation)[0], noisy.evaluate(task.splits.validation)[0])
    first, second, third = quiet.train_epoch(), noisy.train_epoch(), again.train_epoch()
    assert torch.equal(second, third)
    assert bool((second > first).all())


def test_training_lowers_the_loss(task: Forecast) -> None:
    results = list(pack(task).run(6))
    assert bool((results[-1].validation_loss < 0.8 * results[0].validation_loss).all())


def test_ridge_solves_the_normal_equations_part_by_part() -> None:
    source = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 50, 4, generator=source, dtype=torch.float64)
    targets = torch.randn(2, 50, 3, generator=source, dtype=torch.float64)
    ridge = Ridge(2, 4, 3, torch.device("cpu"))
    for rows in (slice(0, 20), slice(20, 50)):
        ridge.add(hidden[:, rows], targets[:, rows])
    weight, bias = ridge.solve(torch.tensor([0.1, 1e-9], dtype=torch.float64))
    for network, strength in enumerate((0.1, 1e-9)):
        h, y = hidden[network].numpy(), targets[network].numpy()
        centred, goal = h - h.mean(axis=0), y - y.mean(axis=0)
        expected = np.linalg.solve(centred.T @ centred / 50 + strength * np.eye(4), centred.T @ goal / 50).T
        np.testing.assert_allclose(weight[network], expected, atol=1e-9)
        np.testing.assert_allclose(bias[network], y.mean(axis=0) - expected @ h.mean(axis=0), atol=1e-9)


def test_a_reservoir_keeps_its_weights_and_is_solved_in_the_first_epoch(task: Forecast) -> None:
    trainer = pack(task, "esn")
    before = {name: value.detach().clone() for name, value in trainer.parameters.items()}
    results = list(trainer.run(2))
    for name in trainer.cell.parameter_shapes():
        assert torch.equal(trainer.parameters[name], before[name])
    assert bool((results[1].validation_loss < 0.5 * results[0].validation_loss).all())
    assert torch.equal(results[1].validation_loss, results[2].validation_loss)


def test_a_study_stores_closed_loops_and_measures_and_judges_by_its_goal(tmp_path) -> None:  # type: ignore[no-untyped-def]
    study = Study(
        name="free",
        task="forecast",
        task_options=OPTIONS,
        cells=("gru", "esn"),
        units=(6,),
        networks=3,
        epochs=1,
        spectra=("closed_loop", "full"),
        exponents=4,
        spectrum_epochs=(1,),
        goal="climate",
        ranges={"*": {"residual": ["no", "yes"], "input_noise": [0.01, 0.1]}},
    )
    run = RunDirectory(tmp_path / "run")
    run_study(study, run, way="packed")
    rows = [row for row in run.store.read(study=study.identity).to_pylist() if row["epoch"] == 1]
    assert all(len(row["spectrum_closed_loop"]) == 4 and 0 <= row["climate"] <= 1 for row in rows)
    from aelle_core.analysis.trained import load_examples

    final = load_examples(run.store, study)[0][1]
    by_network = {row["network"]: row for row in rows}
    np.testing.assert_allclose(final.final_loss, [by_network[name]["climate"] for name in final.networks])
    np.testing.assert_allclose(final.loss, [by_network[name]["validation_loss"] for name in final.networks])
    assert final.goal == "climate" and final.spectra.shape == (6, 4)


def test_studies_without_a_goal_keep_their_identity() -> None:
    assert "goal" not in Study().to_dict()
    assert Study.from_dict(Study().to_dict()) == Study()


def test_mistakes_are_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="which has no free runs"):
        Study(task="digits", goal="climate")
    with pytest.raises(UserError, match="did you mean 'climate'"):
        Study(task="forecast", goal="climat")
    with pytest.raises(UserError, match="window=500"):
        get_task("forecast", options={"length": 100, "window": 500})
    with pytest.raises(UserError, match="unknown system"):
        get_task("forecast", options={"system": "lorentz"})
