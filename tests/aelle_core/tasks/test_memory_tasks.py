"""Tasks of memory: what a perfect memory and none at all would score on them."""

import math

import pytest
import torch

from aelle_core.foundation.errors import UserError
from aelle_core.tasks import get_task


def test_the_symbol_of_delayed_copy_is_in_the_first_step_alone() -> None:
    task = get_task("delayed_copy", options={"symbols": 4, "delay": 9, "noise": 0.1, "examples": 500})
    training = task.splits.training
    assert training.inputs.shape == (300, 10, 4)
    assert torch.equal(training.inputs[:, 0].argmax(dim=-1), training.targets)
    assert (training.inputs[:, 1:].argmax(dim=-1) == training.targets[:, None]).float().mean() == pytest.approx(
        0.25, abs=0.05
    )
    assert training.inputs[:, 1:].std().item() == pytest.approx(0.1, rel=0.05)
    assert math.exp(-sum(p * math.log(p) for p in training.targets.bincount().div(300).tolist())) > 3.9


def test_the_target_of_adding_is_the_sum_of_the_two_marked_numbers() -> None:
    task = get_task("adding", options={"length": 12, "examples": 4000})
    training = task.splits.training
    marks = training.inputs[..., 1]
    assert torch.equal(marks[:, :6].sum(dim=1), torch.ones(2400))
    assert torch.equal(marks[:, 6:].sum(dim=1), torch.ones(2400))
    torch.testing.assert_close((training.inputs[..., 0] * marks).sum(dim=1, keepdim=True), training.targets)
    assert (training.targets - 1).square().mean().item() == pytest.approx(1 / 6, rel=0.1)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("delayed_copy", {"symbols": 1}, "symbols=1: expected a whole number from 2"),
        ("delayed_copy", {"noise": -1}, "noise=-1: expected a number from 0"),
        ("delayed_copy", {"delay": 2.5}, "delay=2.5"),
        ("adding", {"length": 1}, "length=1: expected a whole number from 2"),
        ("adding", {"examples": True}, "examples=True"),
    ],
)
def test_memory_tasks_refuse_bad_options(task: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_task(task, options=options)
