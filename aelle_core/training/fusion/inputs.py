"""The product of inputs and their weight: a product, or a look-up where inputs are codes of one-hot vectors."""

import torch
from torch import Tensor


def multiply(inputs: Tensor, weight: Tensor, out: Tensor) -> None:
    """inputs (networks, steps, rows, features), or codes (networks, steps, rows), times weight (networks, features,
    width) into out (networks, steps * rows, width)."""
    if inputs.is_floating_point():
        torch.bmm(inputs.flatten(1, 2), weight, out=out)
    else:
        torch.index_select(weight.flatten(0, 1), 0, _places(inputs, weight.shape[1]), out=out.flatten(0, 1))


def weight_adjoint(inputs: Tensor, adjoint: Tensor, features: int) -> Tensor:
    """The weight's adjoint from the product's, (networks, steps * rows, width): (networks, features, width)."""
    if inputs.is_floating_point():
        return torch.bmm(inputs.flatten(1, 2).mT, adjoint)
    networks = len(inputs)
    total = torch.ops.aten.embedding_dense_backward(
        adjoint.flatten(0, 1), _places(inputs, features), networks * features, -1, False
    )
    return total.unflatten(0, (networks, features))


def _places(codes: Tensor, features: int) -> Tensor:
    """Rows of the networks' weights one below the other."""
    first = torch.arange(0, len(codes) * features, features, device=codes.device)
    return (codes.flatten(1) + first.unsqueeze(1)).flatten()
