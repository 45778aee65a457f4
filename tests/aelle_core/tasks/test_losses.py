"""Losses against their definitions, with weights and without."""

import math

import pytest
import torch

from aelle_core.tasks.losses import CrossEntropy, SquaredError, losses
from aelle_core.tasks.losses.base import weighted_mean


def test_both_losses_are_registered_and_say_what_they_are() -> None:
    assert set(losses) >= {"cross_entropy", "squared_error"}
    assert all(losses[name].label for name in losses)


def test_cross_entropy_and_its_accuracy_by_hand() -> None:
    scores = torch.tensor([[[0.0, math.log(3.0)], [math.log(3.0), 0.0]]])
    targets = torch.tensor([[1, 1]])
    torch.testing.assert_close(CrossEntropy.rows(scores, targets), -torch.tensor([[0.75, 0.25]]).log())
    assert CrossEntropy.correct(scores, targets).tolist() == [[True, False]]


def test_squared_error_by_hand_has_no_accuracy() -> None:
    outputs, targets = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [3.0, 1.0]]])
    assert SquaredError.rows(outputs, targets).tolist() == [[2.0, 5.0]]
    assert SquaredError.mean(outputs, targets).tolist() == [3.5]
    assert SquaredError.mean(outputs, targets, torch.tensor([[3.0, 1.0]])).tolist() == [2.75]
    assert SquaredError.correct(outputs, targets) is None


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_rows_of_no_weight_count_for_nothing_even_where_they_are_not_finite(nothing: float) -> None:
    rows = torch.tensor([[1.0, nothing, 3.0]])
    assert weighted_mean(rows, torch.tensor([[1.0, 0.0, 1.0]])).tolist() == [2.0]
    assert not weighted_mean(rows, torch.tensor([[1.0, 1.0, 1.0]])).isfinite().all()
