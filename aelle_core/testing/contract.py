"""What a broken contract raises, and the two ways to find one broken."""

import torch
from torch import Tensor


class ContractError(AssertionError):
    """A contract that a cell or a task does not keep: one sentence that says which, and what was found."""


def require(kept: object, sentence: str) -> None:
    """Raise ContractError with this sentence unless `kept`."""
    if not kept:
        raise ContractError(sentence)


def require_close(computed: Tensor, expected: Tensor, sentence: str, *, rtol: float, atol: float) -> None:
    """Raise ContractError with this sentence, and by how much, unless two tensors of any shape are equal within the
    tolerances."""
    try:
        torch.testing.assert_close(computed, expected, rtol=rtol, atol=atol)
    except AssertionError as error:
        raise ContractError(f"{sentence}\n{error}") from error
