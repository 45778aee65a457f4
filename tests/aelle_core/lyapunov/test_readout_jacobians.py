"""Jacobians of networks that read their own output: the structured ones against the same as dense matrices."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.readout import ReadoutJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import Frame, TorchTangents

NETWORKS, SEQUENCES, STEPS = 2, 3, 8
LIKE = torch.empty(0, dtype=torch.float64)


def drawn(units: int, features: int, top: int = 0) -> ReadoutJacobians:
    """Two parts with terms of every kind; the readout reads the part that begins at row `top`."""
    source = torch.Generator().manual_seed(units + features)
    trajectories = NETWORKS * SEQUENCES

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64) / units**0.5

    inner = BlockJacobians(
        size=2 * units,
        units=units,
        matrices=random(NETWORKS, 2, units, units),
        factors=1 + random(trajectories, STEPS, 2, units),
        factor_positions=((0, 0), (1, 0)),
        dense=random(trajectories, STEPS, 1, units, units),
        dense_positions=((1, 1),),
        diagonals=random(trajectories, STEPS, 1, units),
        diagonal_positions=((0, 1),),
    )
    weight = random(NETWORKS, features, units)
    by_input = random(trajectories, STEPS, features, 2 * units)
    return ReadoutJacobians(inner, by_input, weight, torch.tensor([0.0, 1.0], dtype=torch.float64), top)


SHAPES = [(4, 1, 0), (5, 3, 5), (4, 11, 0), (40, 9, 40)]
"""Units, features and top: fewer and more features than a panel or the units have, and rows that need two passes."""


@pytest.mark.parametrize(("units", "features", "top"), SHAPES)
def test_a_step_is_the_product_of_the_readout_and_the_rest(units: int, features: int, top: int) -> None:
    jacobians = drawn(units, features, top)
    size = jacobians.size
    for network in range(NETWORKS):
        lower, rest = torch.eye(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
        lower[2 * units :, top : top + units] = jacobians.weight[network]
        number = network * SEQUENCES
        rest[: 2 * units, : 2 * units] = jacobians.own.at(1)[number]
        rest[: 2 * units, 2 * units :] = jacobians.by_input[number, 1].T
        rest[2 * units :, 2 * units :] = jacobians.residual[network] * torch.eye(features)
        torch.testing.assert_close(jacobians.at(1)[number], lower @ rest, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("units", "features", "top"), SHAPES)
@pytest.mark.parametrize("few", [False, True])
def test_the_compiled_kernel_multiplies_as_dense_matrices_do(units: int, features: int, top: int, few: bool) -> None:
    jacobians = drawn(units, features, top)
    size = jacobians.size
    k = max(1, size // 4) if few else size - features  # where the residual is 0, rows of the readout hang on others
    frame = Frame(LIKE, jacobians.trajectories, size, k)
    wanted = torch.zeros(STEPS, dtype=torch.bool)
    structured = HouseholderTangents(frame).advance(jacobians, wanted=wanted)[0].sum(dim=1)
    dense = TorchTangents(frame).advance(jacobians.dense())[0].sum(dim=1)
    torch.testing.assert_close(structured, dense, rtol=0, atol=1e-7)
    one_by_one = HouseholderTangents(frame).advance(jacobians)[0]
    torch.testing.assert_close(one_by_one, TorchTangents(frame).advance(jacobians)[0], rtol=0, atol=1e-9)


def test_determinants_are_those_of_the_whole() -> None:
    jacobians = drawn(5, 3)
    residual = torch.tensor([0.5, 1.0], dtype=torch.float64)
    jacobians = replace(jacobians, residual=residual)
    volumes = jacobians.log_volumes(2, torch.arange(jacobians.trajectories))
    torch.testing.assert_close(volumes, torch.linalg.slogdet(jacobians.at(2)).logabsdet, rtol=0, atol=1e-11)


def test_many_digits_give_the_same() -> None:
    jacobians = drawn(3, 2)
    frame = Frame(LIKE, jacobians.trajectories, jacobians.size, 4)
    exact = ExtendedTangents(Frame(LIKE, jacobians.trajectories, jacobians.size, jacobians.size), 200)
    logarithms = exact.advance(jacobians)[0]
    expected = HouseholderTangents(frame).advance(jacobians)[0]
    torch.testing.assert_close(logarithms[..., :4], expected, rtol=0, atol=1e-9)


def test_second_copies_are_disturbed_in_every_term_but_the_readout() -> None:
    jacobians = drawn(5, 3)
    doubled = replace(
        jacobians,
        own=replace(
            jacobians.own,
            **{name: _twice(getattr(jacobians.own, name)) for name in ("factors", "dense", "diagonals")},
        ),
        by_input=_twice(jacobians.by_input),
    )
    rounding = Rounding(LIKE, SEQUENCES, 2 * SEQUENCES)
    disturbed = doubled.disturbed(rounding, floor=False)
    for step in range(STEPS):
        first, second = disturbed.at(step).unflatten(0, (NETWORKS, 2, SEQUENCES)).unbind(dim=1)
        torch.testing.assert_close(first.flatten(0, 1), jacobians.at(step), rtol=0, atol=0)
        assert bool((first != second)[..., : jacobians.own.size, :].any(dim=-1).all())
        torch.testing.assert_close(first, second, rtol=0, atol=20 * rounding.size)


def test_a_number_that_is_not_finite_is_seen_in_its_trajectory() -> None:
    jacobians = drawn(4, 2)
    by_input = jacobians.by_input.clone()
    by_input[3, 1, 0, 2] = float("nan")
    assert replace(jacobians, by_input=by_input).finite().tolist() == [True, True, True, False, True, True]


def _twice(terms: Tensor) -> Tensor:
    """Every network's trajectories, and then all of them again."""
    return terms.unflatten(0, (NETWORKS, SEQUENCES)).repeat_interleave(2, dim=0).flatten(0, 1)
