"""Which of torch's functions a step may call so that rounding inside it is seen, and how those are taken apart whose
inside would not be seen."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# What moves numbers about, or makes new ones, without rounding any.
# fmt: off
EXACT = frozenset((
    "__get__", "__getitem__", "__setitem__", "abs", "abs_", "broadcast_to", "cat", "chunk", "clone", "concat",
    "concatenate", "contiguous", "copy_", "cpu", "cuda", "detach", "detach_", "diag", "diag_embed", "diagonal", "dim",
    "double", "dstack", "empty_like", "expand", "expand_as", "fill_", "flatten", "flip", "float", "full_like",
    "gather", "hsplit", "hstack", "index_copy", "index_copy_", "index_fill", "index_fill_", "index_put", "index_put_",
    "index_select", "lift_fresh_copy", "masked_fill", "masked_fill_", "maximum", "minimum", "moveaxis", "movedim",
    "narrow", "neg", "neg_", "negative", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "numpy_T",
    "ones_like", "pad", "permute", "relu", "relu_", "repeat", "repeat_interleave", "requires_grad_", "reshape", "roll",
    "scatter", "scatter_", "select", "size", "split", "split_with_sizes", "squeeze", "squeeze_", "stack", "swapaxes",
    "t", "t_", "take", "take_along_dim", "tensor_split", "tile", "to", "tolist", "transpose", "transpose_", "tril",
    "triu", "type", "type_as", "unbind", "unflatten", "unsqueeze", "unsqueeze_", "view", "view_as", "vsplit", "vstack",
    "where", "zero_", "zeros_like",
))
# A single rounded operation whose derivative is one too: what cancels between two of them is seen.
SINGLE = frozenset((
    "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr", "amax", "amin", "atan", "arctan", "atan2",
    "baddbmm", "bilinear", "bmm", "chain_matmul", "clamp", "clamp_max", "clamp_min", "clip", "conv1d", "conv2d",
    "cos", "cosh", "cumsum", "deg2rad", "div", "divide", "dot", "einsum", "erf", "erfc", "exp", "exp2", "expm1",
    "fmod", "ger", "hardtanh", "hypot", "inner", "kron", "leaky_relu", "linear", "log", "log10", "log1p", "log2",
    "logaddexp", "matmul", "matrix_power", "max", "mean", "min", "mm", "mul", "multi_dot", "multiply", "mv", "norm",
    "outer", "pow", "rad2deg", "reciprocal", "relu6", "remainder", "rsqrt", "sgn", "sign", "sin", "sinc", "sinh",
    "softplus", "special_erf", "special_erfc", "special_exp2", "special_expm1", "special_log1p", "sqrt", "square",
    "sub", "subtract", "sum", "tensordot", "threshold", "trace", "true_divide", "tan", "vdot", "vector_norm",
    "linalg_vector_norm", "linalg_norm", "linalg_matmul", "linalg_multi_dot", "linalg_vecdot", "float_power",
    "floor", "ceil", "round", "trunc", "hardshrink", "softshrink", "heaviside", "rmul", "rpow", "radd", "rsub",
    "rdiv", "rtruediv", "rmatmul", "truediv", "iadd", "isub", "imul", "idiv", "itruediv", "ipow", "imatmul",
    "half", "bfloat16",
))
# fmt: on


def plain_name(name: str) -> str:
    """Return a function's name without the marks of operators and of functions that work in place."""
    return name.strip("_") if name.startswith("__") else name.removesuffix("_")


def softmax(input: Tensor, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any) -> Tensor:
    """Return the softmax, any shape, by exponentials of differences, so that 1 - p is made of the others."""
    dim = _checked(dim)
    given = input if dtype is None else input.to(dtype)
    raised = torch.exp(given - given.detach().amax(dim, keepdim=True))
    return raised / raised.sum(dim, keepdim=True)


def log_softmax(input: Tensor, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any) -> Tensor:
    """Return the logarithm of `softmax`, any shape."""
    dim = _checked(dim)
    given = input if dtype is None else input.to(dtype)
    moved = given - given.detach().amax(dim, keepdim=True)
    return moved - torch.log(torch.exp(moved).sum(dim, keepdim=True))


def logsumexp(input: Tensor, dim: int | tuple[int, ...], keepdim: bool = False) -> Tensor:
    """Return the logarithm of a sum of exponentials, any shape."""
    top = input.detach().amax(dim, keepdim=True)
    logarithm = top + torch.log(torch.exp(input - top).sum(dim, keepdim=True))
    return logarithm if keepdim else logarithm.squeeze(dim)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a sigma(b) of the halves a and b; any shape whose `dim` is even."""
    a, b = input.chunk(2, dim)
    return a * torch.sigmoid(b)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return a sigma(a), any shape."""
    return input * torch.sigmoid(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return a Phi(a), exactly or by tanh; any shape."""
    if approximate == "tanh":
        return 0.5 * input * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (input + 0.044715 * input * input * input)))
    return 0.5 * input * torch.erfc(input * -(0.5**0.5))


def logsigmoid(input: Tensor) -> Tensor:
    """Return -log(1 + e^-a), any shape."""
    return -torch.nn.functional.softplus(-input)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """Return a + w (b - a); any shape of each that broadcasts."""
    return input + weight * (end - input)


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    """Normalise over the last dimensions, as many as `normalized_shape` has; any shape."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    over = tuple(range(-len(shape), 0))
    centred = input - input.mean(over, keepdim=True)
    normalised = centred / torch.sqrt((centred * centred).mean(over, keepdim=True) + eps)
    normalised = normalised if weight is None else normalised * weight
    return normalised if bias is None else normalised + bias


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Return the input, any shape. Raises NotImplementedError in training, where it is no function of x and state."""
    if training and p:
        raise NotImplementedError("dropout in training")
    return input


def recurrent(cell: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """Return what nn.RNN, GRU and LSTM call: layers of that single `cell`, whose state has so many parts."""

    def run(
        input: Tensor,
        hx: Any,
        weights: Any,
        biased: bool,
        layers: int,
        dropped: float,
        training: bool,
        both_ways: bool,
        batch_first: bool = False,
    ) -> tuple[Tensor, ...]:
        if both_ways or (training and dropped) or len(weights) != layers * (4 if biased else 2):
            raise NotImplementedError("two directions, dropout, projections or a packed sequence")
        below = list((input.transpose(0, 1) if batch_first else input).unbind(0))
        starts = hx if parts > 1 else (hx,)
        ends: list[Any] = []
        per_layer = len(weights) // layers
        for layer in range(layers):
            state = tuple(start[layer] for start in starts)
            for time, x in enumerate(below):
                new = cell(x, state if parts > 1 else state[0], *weights[layer * per_layer : (layer + 1) * per_layer])
                state = new if parts > 1 else (new,)
                below[time] = state[0]
            ends.append(state)
        output = torch.stack(below, 1 if batch_first else 0)
        return (output, *(torch.stack([end[part] for end in ends]) for part in range(parts)))

    return run


COMPOSED: dict[str, Callable[..., Any]] = {
    "softmax": softmax,
    "special_softmax": softmax,
    "log_softmax": log_softmax,
    "special_log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "glu": glu,
    "silu": silu,
    "gelu": gelu,
    "logsigmoid": logsigmoid,
    "log_sigmoid": logsigmoid,
    "lerp": lerp,
    "layer_norm": layer_norm,
    "dropout": dropout,
    "rnn_tanh": recurrent(torch.rnn_tanh_cell, 1),
    "rnn_relu": recurrent(torch.rnn_relu_cell, 1),
    "gru": recurrent(torch.gru_cell, 1),
    "lstm": recurrent(torch.lstm_cell, 2),
}
"""Functions in terms of others that are watched."""


def _checked(dim: int | None) -> int:
    if dim is None:
        raise NotImplementedError("softmax over a dimension that is not named")
    return dim
