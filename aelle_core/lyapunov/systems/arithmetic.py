"""Torch's arithmetic inside a person's step function, watched over."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aelle_core.cells.derivatives import sigmoid_with_derivative, tanh_with_derivative

_TABLE = 8191

# What moves numbers about, or makes new ones, without rounding any.
# fmt: off
_EXACT = frozenset((
    "__get__", "__getitem__", "__setitem__", "abs", "cat", "chunk", "clone", "contiguous", "copy_", "detach",
    "diag", "diagonal", "dim", "double", "empty_like", "expand", "expand_as", "fill_", "flatten", "flip",
    "float", "gather", "index_select", "maximum", "minimum", "moveaxis", "narrow", "neg", "ones_like",
    "permute", "relu", "repeat", "reshape", "roll", "select", "size", "split", "split_with_sizes", "squeeze",
    "stack", "t", "to", "tolist", "transpose", "type", "unbind", "unflatten", "unsqueeze", "view", "view_as",
    "where", "zeros_like",
))
# fmt: on


def _with_slope(value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of single numbers with a derivative of its own, for forward-mode differentiation."""

    class Function(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(a: Tensor) -> Tensor:
            return value(a)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
            ctx.save_for_forward(*inputs)

        @staticmethod
        def jvp(ctx: Any, tangent: Tensor) -> Tensor:
            return tangent * slope(*ctx.saved_tensors)

    return Function.apply


# torch's own 1 - tanh^2 and sigma (1 - sigma) cancel in saturation.
_tanh = _with_slope(torch.tanh, lambda a: tanh_with_derivative(a)[1])
_sigmoid = _with_slope(torch.sigmoid, lambda a: sigmoid_with_derivative(a)[1])


class WatchedArithmetic(TorchFunctionMode):
    """Within it, tanh and sigmoid have derivatives that keep their digits, also those inside torch's recurrent cells.

    With a `disturbance`, every result that rounding touches is multiplied by numbers that far from 1 at most (Monte
    Carlo arithmetic; Parker 1997): what cancellation does to it then shows as a difference from an undisturbed run.
    """

    def __init__(self, like: Tensor, disturbance: float = 0.0) -> None:
        super().__init__()
        self._substitutes: dict[str, Callable[..., Any]] = {
            "tanh": _tanh,
            "sigmoid": _sigmoid,
            "expit": _sigmoid,
            "rnn_tanh_cell": self._rnn_cell,
            "gru_cell": self._gru_cell,
            "lstm_cell": self._lstm_cell,
        }
        self._dtype = like.dtype
        self._place = 0
        self._noise: Tensor | None = None
        if disturbance:
            source = torch.Generator(like.device).manual_seed(0)
            self._noise = 1 + disturbance * like.new_empty(_TABLE).uniform_(-1, 1, generator=source)

    def __torch_function__(
        self, function: Any, kinds: Any, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        chosen = self._substitutes.get(name, function)
        result = chosen(*arguments, **(options or {}))
        return result if self._noise is None or name in _EXACT else self._disturbed(result)

    def _disturbed(self, result: Any) -> Any:
        if isinstance(result, tuple | list):
            return type(result)(self._disturbed(each) for each in result) if type(result) in (tuple, list) else result
        if not isinstance(result, Tensor) or result.dtype != self._dtype or self._noise is None:
            return result
        count = result.numel()
        self._place = (self._place * 29 + 1013) % _TABLE
        noise = self._noise.roll(self._place).repeat(-(-count // _TABLE))[:count]
        return result * noise.view(result.shape)

    def _gates(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._disturbed(torch.nn.functional.linear(x, weight, bias))

    def _rnn_cell(self, x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None) -> Tensor:
        return _tanh(self._gates(x, w_x, b_x) + self._gates(h, w_h, b_h))

    def _gru_cell(self, x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None) -> Tensor:
        x_r, x_z, x_n = self._gates(x, w_x, b_x).chunk(3, dim=-1)
        h_r, h_z, h_n = self._gates(h, w_h, b_h).chunk(3, dim=-1)
        a = x_z + h_z
        n = self._disturbed(_tanh(x_n + _sigmoid(x_r + h_r) * h_n))
        return _sigmoid(-a) * n + _sigmoid(a) * h

    def _lstm_cell(
        self, x: Tensor, state: Sequence[Tensor], w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None
    ) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, g, o = (self._gates(x, w_x, b_x) + self._gates(h, w_h, b_h)).chunk(4, dim=-1)
        c = self._disturbed(_sigmoid(f) * c + _sigmoid(i) * _tanh(g))
        return _sigmoid(o) * _tanh(c), c
