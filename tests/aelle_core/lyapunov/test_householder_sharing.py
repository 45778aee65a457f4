"""Several steps between factorisations: where nothing is ill-conditioned, as right as one by one, told where asked."""

import numpy as np
import pytest
import torch
from torch import Tensor

from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.tangents import TOGETHER, Frame, TorchTangents

pytest.importorskip("numba")

from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents

LIKE = torch.empty(0, dtype=torch.float64)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(0, "test"), dtype=torch.float64)


def calm(trajectories: int, steps: int, size: int) -> Tensor:
    """Jacobians not far from rotations."""
    rotations = torch.linalg.qr(random(trajectories, steps, size, size))[0]
    return rotations + 0.1 * random(trajectories, steps, size, size) / size**0.5


def moved(blocks: BlockJacobians, wanted: Tensor, k: int | None = None, **frame: object) -> Tensor:
    size = blocks.size
    made = Frame(LIKE, blocks.trajectories, size, k or size, **frame)  # type: ignore[arg-type]
    return HouseholderTangents(made).advance(blocks, 1, wanted)[0]


def nowhere(steps: int) -> Tensor:
    return torch.zeros(steps, dtype=torch.bool)


def in_groups(logarithms: Tensor) -> Tensor:
    """(trajectories, steps, k) -> (trajectories, groups, k): sums over steps that may share a factorisation."""
    return torch.stack([group.sum(dim=1) for group in logarithms.split(TOGETHER, dim=1)], dim=1)


def left_to_later(logarithms: Tensor) -> Tensor:
    """(trajectories, steps) which steps have left their growth to a later one."""
    return (logarithms == 0).all(dim=-1)


@pytest.mark.parametrize("size", [2, 7, 8, 33, 64, 70])
@pytest.mark.parametrize("steps", [2, 7, 27])
def test_steps_that_share_a_factorisation_are_what_they_are_one_by_one(size: int, steps: int) -> None:
    blocks = BlockJacobians.of_dense(calm(2, steps, size).mT)
    for k in sorted({1, max(1, size // 3), size}):
        logarithms = moved(blocks, nowhere(steps), k)
        expected = TorchTangents(Frame(LIKE, 2, size, k)).advance(blocks)[0]
        left = left_to_later(logarithms)
        assert (left.sum(dim=1) >= steps // 2).all()
        assert not left[:, TOGETHER - 1 :: TOGETHER].any()
        assert not left[:, -1].any()
        torch.testing.assert_close(in_groups(logarithms), in_groups(expected), rtol=0, atol=2e-11)


def test_calm_steps_share_more_and_more() -> None:
    """Twice as many as the last at most, groups of eight in equal parts."""
    left = left_to_later(moved(BlockJacobians.of_dense(calm(1, 3 * TOGETHER, 12).mT), nowhere(3 * TOGETHER)))
    ends = (~left[0]).nonzero().flatten() + 1
    assert ends.tolist() == [2, 5, 8, 12, 16, 24]


def test_diagonal_columns_are_multiplied_as_such() -> None:
    """Half of the columns hold nothing but diagonals, as those by an LSTM's c do."""
    units, steps = 24, 4
    blocks = BlockJacobians(
        size=2 * units,
        units=units,
        matrices=torch.linalg.qr(random(1, 2, units, units))[0],
        factors=1 + 0.1 * random(3, steps, 2, units),
        factor_positions=((0, 0), (1, 0)),
        dense=random(3, steps, 0, units, units),
        dense_positions=(),
        diagonals=1 + 0.3 * random(3, steps, 2, units),
        diagonal_positions=((0, 1), (1, 1)),
    )
    assert blocks.dense_columns == units
    logarithms = moved(blocks, nowhere(steps))
    assert left_to_later(logarithms).any()
    expected = TorchTangents(Frame(LIKE, 3, 2 * units, 2 * units)).advance(blocks)[0]
    torch.testing.assert_close(in_groups(logarithms), in_groups(expected), rtol=0, atol=1e-9)


def test_a_step_that_is_told_is_not_put_together_with_the_next() -> None:
    blocks = BlockJacobians.of_dense(calm(2, 6, 20).mT)
    wanted = nowhere(6)
    wanted[[2, 3]] = True
    logarithms = moved(blocks, wanted)
    expected = moved(blocks, torch.ones(6, dtype=torch.bool))
    torch.testing.assert_close(logarithms[:, 2:4], expected[:, 2:4], rtol=0, atol=1e-11)
    assert (logarithms[:, [0, 4]] == 0).all()


def test_ill_conditioned_steps_are_made_one_by_one() -> None:
    """A saturated row: not a bit differs from steps that are all told. Calm trajectories beside it share steps."""
    jacobians = calm(3, 8, 16)
    jacobians[1, :, 5] *= 1e-9
    blocks = BlockJacobians.of_dense(jacobians.mT)
    logarithms = moved(blocks, nowhere(8))
    assert torch.equal(logarithms[1], moved(blocks, torch.ones(8, dtype=torch.bool))[1])
    assert (left_to_later(logarithms)[[0, 2]].sum(dim=1) >= 4).all()


def test_factorisations_are_shared_again_after_a_bad_step() -> None:
    jacobians = calm(1, 24, 16)
    jacobians[0, 3, 5] *= 1e-9
    blocks = BlockJacobians.of_dense(jacobians.mT)
    logarithms = moved(blocks, nowhere(24))
    ends = (~left_to_later(logarithms)[0]).nonzero().flatten() + 1
    assert ends.tolist() == [2, 3, 4, 5, 7, 8, 12, 16, 24]  # the third step fails with the fourth, and two are single
    expected = TorchTangents(Frame(LIKE, 1, 16, 16)).advance(blocks)[0]
    torch.testing.assert_close(in_groups(logarithms), in_groups(expected), rtol=0, atol=1e-10)


def test_a_direction_that_dies_within_several_steps_is_dead_at_their_end() -> None:
    jacobians = calm(1, 6, 12)
    jacobians[0, 2, 4] = 0  # a unit at rest in the third step
    blocks = BlockJacobians.of_dense(jacobians.mT)
    sums = moved(blocks, nowhere(6)).sum(dim=1)
    expected = TorchTangents(Frame(LIKE, 1, 12, 12)).advance(blocks)[0].sum(dim=1)
    assert sums.isneginf().sum() == 1
    torch.testing.assert_close(sums, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("k", [3, 7, 12])
def test_units_at_rest_do_not_keep_steps_apart(k: int) -> None:
    """Four to seven of twelve units are at rest, others at each step: the rank is the least of any step's, and what
    rounding leaves beyond it is dead."""
    steps, size = 3 * TOGETHER, 12
    jacobians = calm(3, steps, size)
    source = np.random.default_rng(0)
    for trajectory in range(3):
        for step in range(steps):
            resting = source.choice(size, source.integers(4, 8), replace=False)
            jacobians[trajectory, step, torch.from_numpy(resting)] = 0
    blocks = BlockJacobians.of_dense(jacobians.mT)
    logarithms = moved(blocks, nowhere(steps), k)
    expected = TorchTangents(Frame(LIKE, 3, size, k)).advance(blocks)[0].sum(dim=1)
    assert (left_to_later(logarithms).sum(dim=1) > steps // 2).all()
    assert (expected.isneginf().sum(dim=1) >= k - 8).all()
    torch.testing.assert_close(logarithms.sum(dim=1), expected, rtol=0, atol=1e-10)


def test_both_steps_are_disturbed() -> None:
    blocks = BlockJacobians.of_dense(calm(2, 2, 12).mT)
    marks = torch.tensor([False, True])
    apart = moved(blocks, nowhere(2), disturbed=marks, disturbance=1e-6) - moved(blocks, nowhere(2))
    assert (apart[0] == 0).all()
    assert 1e-8 < float(apart[1].abs().max()) < 1e-4


def test_float32_makes_all_steps_one_by_one() -> None:
    blocks = BlockJacobians.of_dense(calm(2, 4, 12).mT)
    frame = Frame(torch.empty(0, dtype=torch.float32), 2, 12, 12, lengths=True)
    logarithms, lengths = HouseholderTangents(frame).advance(blocks, 1, nowhere(4))
    assert (logarithms != 0).all()
    assert lengths is not None
    assert np.isfinite(lengths.numpy()).all()
