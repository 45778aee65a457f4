"""The compiled kernel against numpy's QR, against exact Gram-Schmidt, and against the kernels in torch."""

import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov.kernels.householder.tangents import HouseholderTangents
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.orthogonalisation import by_elimination, by_sorted_householder
from aelle_core.lyapunov.kernels.tangents import Frame, Kernel, TorchTangents

SIZES = [1, 2, 7, 8, 9, 16, 31, 40, 63, 64, 65, 130]


def moved(jacobians: Tensor, k: int, dtype: torch.dtype = torch.float64, threads: int = 1) -> np.ndarray:
    """log |r| (trajectories, steps, k) of Jacobians (trajectories, steps, size, size)."""
    like = torch.empty(0, dtype=dtype)
    tangents = HouseholderTangents(Frame(like, len(jacobians), jacobians.shape[-1], k))
    return tangents.advance(BlockJacobians.of_dense(jacobians.mT), threads)[0].numpy()


def by_numpy(jacobians: Tensor, k: int) -> np.ndarray:
    logarithms = np.empty((*jacobians.shape[:2], k))
    for trajectory, matrices in enumerate(jacobians.numpy()):
        q = np.eye(matrices.shape[-1], k)
        for step, matrix in enumerate(matrices):
            q, r = np.linalg.qr(matrix @ q)
            with np.errstate(divide="ignore"):
                logarithms[trajectory, step] = np.log(np.abs(np.diag(r)))
    return logarithms


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed, "test"), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_and_every_number_of_tangents(size: int) -> None:
    """Also where neither fits the panels, the registers or the stripes, and on both sides of forming Q."""
    jacobians = random(2, 3, size, size)
    for k in sorted({1, min(8, size), max(1, size // 2 - 1), max(1, size // 2 + 1), size}):
        if k <= size:
            np.testing.assert_allclose(moved(jacobians, k), by_numpy(jacobians, k), atol=1e-9)


@pytest.mark.parametrize("size", [5, 32, 70])
def test_float32(size: int) -> None:
    jacobians = random(2, 3, size, size)
    np.testing.assert_allclose(moved(jacobians, size, torch.float32), by_numpy(jacobians, size), atol=5e-3)


def test_stretches_threads_and_order_do_not_matter() -> None:
    """Tangents go on from call to call; trajectories do not touch each other: not a bit changes."""
    jacobians = random(5, 12, 20, 20)
    whole = moved(jacobians, 20)
    like = torch.empty(0, dtype=torch.float64)
    tangents = HouseholderTangents(Frame(like, 5, 20, 20))
    pieces = [tangents.advance(BlockJacobians.of_dense(part.mT), 3)[0] for part in jacobians.split(5, dim=1)]
    np.testing.assert_array_equal(torch.cat(pieces, dim=1).numpy(), whole)
    np.testing.assert_array_equal(moved(jacobians[2:3], 20)[0], whole[2])


def exact_gram_schmidt(matrices: np.ndarray) -> np.ndarray:
    """log r of every step in 600 digits."""
    numbers = np.frompyfunc(mpmath.mpf, 1, 1)
    with mpmath.workdps(600):
        frame = numbers(np.eye(matrices.shape[-1]))
        logarithms = []
        for matrix in matrices:
            pushed = numbers(matrix) @ frame
            lengths = []
            for column in range(pushed.shape[1]):
                earlier = pushed[:, :column]
                rest = pushed[:, column] - (earlier @ (earlier.T @ pushed[:, column]) if column else 0)
                lengths.append(mpmath.sqrt((rest * rest).sum()))
                pushed[:, column] = rest / lengths[-1]
            frame = pushed
            logarithms.append([float(mpmath.log(length)) for length in lengths])
    return np.array(logarithms)


@pytest.mark.parametrize("size", [6, 20])
def test_rows_graded_by_hundreds_of_orders_of_magnitude(size: int) -> None:
    """What saturation makes of a Jacobian, in any order of rows. numpy's QR is off by nats on it."""
    source = np.random.default_rng(0)
    slopes = 10.0 ** source.uniform(-120, 0, size=(1, 3, size, 1))
    jacobians = torch.from_numpy(slopes) * random(1, 1, size, size)
    expected = exact_gram_schmidt(jacobians[0].numpy())
    np.testing.assert_allclose(moved(jacobians, size)[0], expected, atol=1e-10)
    assert np.abs(by_numpy(jacobians, size)[0] - expected).max() > 0.1
    for orthogonalise in (by_elimination, by_sorted_householder):
        q = torch.eye(size, dtype=torch.float64)[None]
        for step in range(3):
            q, radii = orthogonalise(jacobians[:, step] @ q)
            np.testing.assert_allclose(radii[0].log().numpy(), expected[step], atol=1e-10)


@pytest.mark.parametrize("scale", [1e-305, 1e-160, 1e160, 1e300])
def test_extreme_scales_neither_overflow_nor_underflow(scale: float) -> None:
    jacobians = random(1, 1, 9, 9)
    np.testing.assert_allclose(moved(scale * jacobians, 9), moved(jacobians, 9) + np.log(scale), rtol=1e-12, atol=2e-8)


def test_dead_directions_are_exact_zeros_and_leave_the_rest_alone() -> None:
    jacobians = random(3, 4, 10, 10)
    jacobians[0, :, 3] = 0  # a unit at rest
    jacobians[1, :, :, 0] = 0  # nothing depends on the first state
    jacobians[2] = 0
    logarithms = moved(jacobians, 10)
    assert np.isneginf(logarithms[0]).sum() == 4
    assert np.isneginf(logarithms[0][:, 9]).all()
    assert np.isneginf(logarithms[1].sum(axis=0)).tolist() == [True] + 9 * [False]
    assert np.isneginf(logarithms[2]).all()


@pytest.mark.parametrize("kernel", [HouseholderTangents, TorchTangents])
def test_a_direction_that_dies_does_not_touch_those_behind_it(kernel: Kernel) -> None:
    """It has no direction of its own; those behind it are what they are without it, over steps and labels."""
    matrices = random(1, 5, 9, 9)
    matrices[0, 1, :, 4] = 0
    matrices[0, 0] = torch.eye(9)  # so that it is the fifth direction of the frame which dies
    like = torch.empty(0, dtype=torch.float64)
    logarithms = kernel(Frame(like, 1, 9, 9)).advance(BlockJacobians.of_dense(matrices.mT))[0][0]
    others = [0, 1, 2, 3, 5, 6, 7, 8]
    q = np.eye(9)[:, others]
    for step, matrix in enumerate(matrices[0].numpy()):
        q, r = np.linalg.qr(matrix @ q)
        np.testing.assert_allclose(logarithms[step, others], np.log(np.abs(np.diag(r))), atol=1e-10)
    assert torch.isneginf(logarithms[:, 4].sum())


def test_lengths_are_those_of_the_pushed_columns() -> None:
    jacobians = random(2, 3, 21, 21)
    for k in (4, 21):
        like = torch.empty(0, dtype=torch.float64)
        blocks = BlockJacobians.of_dense(jacobians.mT)
        frame = Frame(like, 2, 21, k, lengths=True)
        _, pushed = HouseholderTangents(frame).advance(blocks)
        _, expected = TorchTangents(frame).advance(blocks)
        assert pushed is not None
        assert expected is not None
        np.testing.assert_allclose(pushed.numpy(), expected.numpy(), rtol=1e-10)


def test_disturbance_is_as_large_as_asked_and_only_where_asked() -> None:
    jacobians = random(2, 1, 12, 12)
    like = torch.empty(0, dtype=torch.float64)
    marks = torch.tensor([False, True])
    tangents = HouseholderTangents(Frame(like, 2, 12, 12, disturbed=marks, disturbance=1e-6))
    apart = np.abs(tangents.advance(BlockJacobians.of_dense(jacobians.mT))[0].numpy() - moved(jacobians, 12))
    assert apart[0].max() == 0.0
    assert 1e-8 < apart[1].max() < 1e-3


def test_compiling_is_announced_and_happens_once(tmp_path: Path) -> None:
    """With an empty cache the first call says that it compiles; the next process says nothing."""
    code = (
        "import torch\nfrom aelle_core import lyapunov_spectrum\n"
        "lyapunov_spectrum(torch.nn.RNN(2, 3, batch_first=True), torch.zeros(1, 4, 2))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    errors = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stderr
        for _ in range(2)
    ]
    assert errors == ["compiling the spectrum kernel for this CPU: some ten seconds, once\n", ""]


def test_narrow_registers(tmp_path: Path) -> None:
    """As on a CPU without AVX-512, where a register is half a panel."""
    code = """
import numpy as np
from aelle_core.foundation import vector_instructions as vector_code
vector_code._REGISTER_BYTES = 32
from tests.aelle_core.lyapunov.test_householder_kernel import by_numpy, moved, random
assert vector_code.lanes(8) == 4
for size in (3, 9, 20, 66):
    jacobians = random(2, 2, size, size)
    for k in {1, size // 2 + 1, size}:
        np.testing.assert_allclose(moved(jacobians, k), by_numpy(jacobians, k), atol=1e-9)
"""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=True)
