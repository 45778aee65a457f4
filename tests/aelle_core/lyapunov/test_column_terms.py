"""Terms of Jacobians whose columns change: structured, sparse and as dense matrices, all ways give the same."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aelle_core.lyapunov.kernels.columns import ColumnTerms
from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import Frame, TorchTangents

pytest.importorskip("numba")

from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents
from aelle_core.lyapunov.kernels.householder.terms import KernelTerms

NETWORKS, SEQUENCES, STEPS = 2, 2, 9
LIKE = torch.empty(0, dtype=torch.float64)


def drawn(units: int, density: float, outer: int = 2) -> BlockJacobians:
    """Two parts: rows scaled, columns scaled, products of two vectors and diagonals, near the identity."""
    source = torch.Generator().manual_seed(units)
    trajectories = NETWORKS * SEQUENCES

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    def matrices(terms: int) -> Tensor:
        shape = NETWORKS, terms, units, units
        present = torch.rand(*shape, generator=source) < density
        return 0.3 * present * random(*shape) / (density * units) ** 0.5

    columns = ColumnTerms(
        matrices(2),
        random(trajectories, STEPS, 2, units),
        ((0, 1), (1, 1)),
        random(NETWORKS, outer, units) / units,
        random(trajectories, STEPS, outer, units),
        ((0, 0), (1, 0))[:outer],
    )
    return BlockJacobians(
        size=2 * units,
        units=units,
        matrices=matrices(1),
        factors=random(trajectories, STEPS, 1, units),
        factor_positions=((1, 0),),
        dense=random(trajectories, STEPS, 0, units, units),
        dense_positions=(),
        diagonals=1 + 0.1 * random(trajectories, STEPS, 2, units),
        diagonal_positions=((0, 0), (1, 1)),
        columns=columns,
    )


def dense(blocks: BlockJacobians) -> BlockJacobians:
    return BlockJacobians.of_dense(torch.stack([blocks.at(step).mT for step in range(blocks.steps)], dim=1))


@pytest.mark.parametrize("outer", [0, 2])
def test_a_step_is_the_sum_of_its_terms(outer: int) -> None:
    blocks = drawn(5, 1.0, outer)
    columns = blocks.columns
    assert columns is not None
    trajectory, step = SEQUENCES + 1, 3  # of the second network
    whole = blocks.at(step)[trajectory]
    expected = torch.zeros(10, 10, dtype=torch.float64)
    expected[5:, :5] = blocks.factors[trajectory, step, 0].diag() @ blocks.matrices[1, 0].T
    expected[:5, :5] += blocks.diagonals[trajectory, step, 0].diag()
    expected[5:, 5:] += blocks.diagonals[trajectory, step, 1].diag()
    for term, row in enumerate((0, 5)):
        expected[row : row + 5, 5:] += columns.matrices[1, term].T @ columns.factors[trajectory, step, term].diag()
    for term, row in list(enumerate((0, 5)))[:outer]:
        expected[row : row + 5, :5] += torch.outer(columns.lefts[1, term], columns.rights[trajectory, step, term])
    torch.testing.assert_close(whole, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("units", "density"), [(3, 1.0), (20, 1.0), (50, 1.0), (50, 0.1), (70, 0.2)])
@pytest.mark.parametrize("part", [1, 0.3])
def test_the_compiled_kernel_multiplies_terms_as_their_dense_sum(units: int, density: float, part: float) -> None:
    blocks = drawn(units, density)
    assert bool(KernelTerms(blocks, torch.float64).entries) == (density < 1)  # sparse products where there are few
    k = max(1, int(part * blocks.size))
    frame = Frame(LIKE, blocks.trajectories, blocks.size, k)
    logarithms = HouseholderTangents(frame).advance(blocks, 1, torch.zeros(STEPS, dtype=torch.bool))[0]
    assert (logarithms == 0).all(dim=-1).any()  # several steps at once
    expected = TorchTangents(frame).advance(dense(blocks))[0]
    torch.testing.assert_close(logarithms.sum(dim=1), expected.sum(dim=1), rtol=0, atol=1e-9)
    one_by_one = HouseholderTangents(frame).advance(blocks, 1)[0]
    torch.testing.assert_close(one_by_one, expected, rtol=0, atol=1e-9)


def test_numbers_of_many_digits_see_the_same_terms() -> None:
    pytest.importorskip("gmpy2")
    blocks = drawn(3, 1.0)
    frame = Frame(LIKE, blocks.trajectories, blocks.size, blocks.size)
    logarithms = ExtendedTangents(frame, 200).advance(blocks)[0]
    torch.testing.assert_close(logarithms, TorchTangents(frame).advance(blocks)[0], rtol=0, atol=1e-11)


def test_what_changes_is_disturbed_in_second_copies_alone() -> None:
    blocks = drawn(4, 1.0)
    rounding = Rounding(LIKE, 1, SEQUENCES)
    columns = blocks.disturbed(rounding, floor=False).columns
    assert columns is not None and blocks.columns is not None
    for changed, given in ((columns.factors, blocks.columns.factors), (columns.rights, blocks.columns.rights)):
        assert torch.equal(changed[::SEQUENCES], given[::SEQUENCES])
        assert (changed[1::SEQUENCES] != given[1::SEQUENCES]).all()


@pytest.mark.parametrize("name", ["factors", "rights"])
def test_what_is_not_finite_is_seen(name: str) -> None:
    blocks = drawn(4, 1.0)
    assert blocks.finite().all()
    assert blocks.columns is not None
    getattr(blocks.columns, name)[2, 5, 0, 1] = float("nan")
    assert replace(blocks).finite().tolist() == [True, True, False, True]


def test_a_network_that_is_not_finite_does_not_change_its_neighbour() -> None:
    blocks = drawn(50, 0.1)
    frame, nowhere = Frame(LIKE, blocks.trajectories, blocks.size, blocks.size), torch.zeros(STEPS, dtype=torch.bool)
    expected = HouseholderTangents(frame).advance(blocks, 1, nowhere)[0]
    assert blocks.columns is not None
    blocks.columns.matrices[0, 1, 3, 4] = float("nan")
    logarithms = HouseholderTangents(frame).advance(blocks, 1, nowhere)[0]
    assert torch.equal(logarithms[SEQUENCES:], expected[SEQUENCES:])
