"""Sparse teacher forcing: losses and gradients against a loop that is written out, in every way that trains."""

import numpy as np
import pytest
import torch
from torch import Tensor

from aelle_core import Study
from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.systems.divergence import estimated_exponent
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast
from aelle_core.training import ForecastTrainer, NetworkSettings
from aelle_core.training.forecast.sparse_forcing import forced_steps
from aelle_core.training.mini_batches import MiniBatch

OPTIONS = {"system": "henon", "series": 4, "length": 60, "window": 9, "context": 20, "free_steps": 40}
FORCING = (1, 3, 4)
RESIDUAL = ("no", "yes", "yes")


@pytest.fixture(scope="module")
def task() -> Forecast:
    made = get_task("forecast", options=OPTIONS)
    assert isinstance(made, Forecast)
    return made


def pack(task: Forecast, cell: str, way: str, forcing: tuple[float | str, ...] = FORCING) -> ForecastTrainer:
    settings = [
        NetworkSettings(seed, 0.4, 0.01, options={"residual": residual, "forcing": steps, "input_noise": 0.1})
        for seed, (residual, steps) in enumerate(zip(RESIDUAL, forcing, strict=True))
    ]
    return ForecastTrainer(get_cell(cell, task.input_size, 6), task, settings, batch_size=8, way=way)


def written_out(trainer: ForecastTrainer, inputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses (networks,) and gradients, in float64, of the equations as they are defined, one network at a time."""
    cell, losses = trainer.cell, []
    parameters = {name: value.detach().double().requires_grad_() for name, value in trainer.parameters.items()}
    for network, (interval, residual) in enumerate(zip(FORCING, RESIDUAL, strict=True)):
        own = {name: value[network : network + 1] for name, value in parameters.items()}
        constants = {name: value[network : network + 1].double() for name, value in trainer.constants.items()}
        weights = cell.prepare(own, constants)
        state = cell.initial_state(1, inputs.shape[2], like=inputs.double())
        output, total = torch.zeros(()), torch.zeros((), dtype=torch.float64)
        for time in range(inputs.shape[1]):
            read = inputs[network, time].double() if time % interval == 0 else output
            state = cell.step(weights, cell.drive(weights, read.unsqueeze(0)), state)
            hidden = state[cell.parts[0]][0]
            output = hidden @ own["readout_weight"][0].mT + own["readout_bias"][0]
            output = output + (read if residual == "yes" else 0)
            total = total + (output - targets[network, time]).square().mean()
        losses.append(total / inputs.shape[1])
    stacked = torch.stack(losses)
    gradients = torch.autograd.grad(stacked.sum(), list(parameters.values()))
    return stacked.detach(), dict(zip(parameters, gradients, strict=True))


@pytest.mark.parametrize("way", ["packed", "compiled", "fused"])
@pytest.mark.parametrize("cell", ["gru", "lstm", "plrnn"])
def test_losses_and_gradients_are_those_of_the_loop_in_every_way(task: Forecast, cell: str, way: str) -> None:
    if way == "fused" and cell == "plrnn":
        pytest.skip("torch.nn has no such layer")
    trainer = pack(task, cell, way)
    source = generator(0, "values")
    inputs, targets = (torch.randn(3, task.steps, 5, 2, generator=source) for _ in range(2))
    read = forced_steps(torch.tensor(FORCING), task.steps).view(3, -1, 1, 1).expand(-1, -1, 5, 1)
    batch = MiniBatch(torch.cat([inputs, read], dim=-1))
    everyone = slice(0, 3)
    for _ in range(2):  # memory is used again
        losses = trainer._ways[0].losses(trainer.parameters, trainer._constants(everyone), batch, targets.flatten(1, 2))
        gradients = torch.autograd.grad(losses.sum(), list(trainer.parameters.values()))
        expected, wanted = written_out(trainer, inputs, targets)
        torch.testing.assert_close(losses.detach().double(), expected, rtol=1e-5, atol=1e-6)
        for (name, expected_gradient), gradient in zip(wanted.items(), gradients, strict=True):
            torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("way", ["packed", "compiled"])
def test_a_network_forced_at_every_step_learns_what_it_learns_without_the_option(task: Forecast, way: str) -> None:
    sparse, plain = pack(task, "gru", way), pack(task, "gru", way, (1, 1, 1))
    loss, expected = sparse.train_epoch(), plain.train_epoch()
    torch.testing.assert_close(loss[0], expected[0], rtol=1e-5, atol=1e-6)
    assert bool(((loss - expected).abs()[1:] > 1e-2).all()), "networks that read their own output learn something else"
    torch.testing.assert_close(sparse.evaluate_training()[0][0], plain.evaluate_training()[0][0], rtol=1e-4, atol=1e-5)


def test_the_interval_follows_the_largest_exponent(task: Forecast) -> None:
    assert task.forcing_interval == 2  # ln 2 / 0.419 = 1.65
    assert pack(task, "gru", "packed", ("lyapunov", 1, 1)).forcing == [2, 1, 1]
    unknown = get_task("forecast", options=OPTIONS | {"parameters": {"a": 1.39}, "length": 400})
    assert isinstance(unknown, Forecast) and unknown.system.published is None
    assert unknown.forcing_interval in (1, 2, 3)


def test_an_exponent_is_estimated_from_series_alone() -> None:
    x = np.empty((4, 800, 1))
    x[:, 0, 0] = [0.11, 0.33, 0.57, 0.81]
    for step in range(799):
        x[:, step + 1] = 4 * x[:, step] * (1 - x[:, step])
    assert estimated_exponent(x, dimension=1) == pytest.approx(np.log(2), rel=0.25)
    circle = np.stack([np.cos(np.arange(800) / 7), np.sin(np.arange(800) / 7)], axis=-1)[None]
    assert abs(estimated_exponent(circle)) < 0.01
    with pytest.raises(UserError, match="20 steps: expected at least"):
        estimated_exponent(x[:, :20])


def test_mistakes_are_said_in_one_sentence(task: Forecast) -> None:
    with pytest.raises(UserError, match="unknown forcing 'liapunov'"):
        Study(task="forecast", task_options=OPTIONS, ranges={"*": {"forcing": "liapunov"}})
    with pytest.raises(UserError, match="whole numbers of at least 1"):
        Study(task="forecast", task_options=OPTIONS, ranges={"*": {"forcing": 0}})
    settings = [NetworkSettings(0, 0.4, 0.01, options={"forcing": 3})]
    with pytest.raises(UserError, match="has 1 unit and reads 2 features: expected at least as many"):
        ForecastTrainer(get_cell("gru", 2, 1), task, settings)
