"""The exponential of skew matrices against torch's own, and its gradient against torch's."""

import pytest
import torch
from torch import Tensor

from aelle_core.cells.exponential import skew_exponential


def skew(*shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1]), dtype=torch.float64)
    return (scale * (matrices - matrices.mT)).to(dtype)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.03, 0.3, 3.0, 30.0])
@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_it_is_the_exponential_with_its_gradient(scale: float, size: int) -> None:
    given = skew(3, size, size, scale=scale)
    direction = torch.randn(3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    own_argument, torch_argument = given.clone().requires_grad_(), given.clone().requires_grad_()
    rotation, expected = skew_exponential(own_argument), torch.matrix_exp(torch_argument)
    digits = 1e-13 * max(1.0, given.abs().sum(dim=1).max().item())
    torch.testing.assert_close(rotation, expected, rtol=0, atol=digits)
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(size).double().expand_as(rotation), rtol=0, atol=digits
    )
    (own,) = torch.autograd.grad((rotation * direction).sum(), own_argument)
    (wanted,) = torch.autograd.grad((expected * direction).sum(), torch_argument)
    torch.testing.assert_close(own, (wanted - wanted.mT) / 2, rtol=0, atol=digits * size)


def test_single_precision() -> None:
    given = skew(4, 32, 32, scale=0.3, dtype=torch.float32)
    torch.testing.assert_close(skew_exponential(given).double(), torch.matrix_exp(given.double()), rtol=0, atol=2e-5)


def test_no_matrix_disturbs_another() -> None:
    given = skew(5, 6, 6)
    alone = skew_exponential(given[[0, 2]])
    given[1], given[3], given[4] = float("nan"), float("inf"), 1e200
    given.requires_grad_()
    exponential = skew_exponential(given)
    torch.testing.assert_close(exponential[[0, 2]], alone, rtol=0, atol=0)
    assert exponential[[1, 3, 4]].isnan().all()
    (gradient,) = torch.autograd.grad(exponential[[0, 2]].sum(), given)
    assert gradient[[0, 2]].isfinite().all()


def test_it_can_be_mapped_over_networks() -> None:
    given = skew(3, 5, 5)
    mapped = torch.func.vmap(torch.func.grad(lambda matrix: skew_exponential(matrix).cos().sum()))(given)
    whole = given.clone().requires_grad_()
    (expected,) = torch.autograd.grad(skew_exponential(whole).cos().sum(), whole)
    torch.testing.assert_close(mapped, expected)
