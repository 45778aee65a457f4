"""Torch's arithmetic inside a person's step function, watched over."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aelle_core.cells.derivatives import sigmoid_with_derivative, tanh_with_derivative
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems.functions import COMPOSED, EXACT, SINGLE, plain_name

_TABLE = 8191

_CONVERSIONS = frozenset(("float", "to", "type"))  # which round where the new dtype is narrower
_FLOATING = frozenset((torch.float64, torch.float32, torch.float16, torch.bfloat16))


def _with_slope(value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function of single numbers with a custom derivative, for forward-mode differentiation."""

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


def _substitute(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda input: function(input)  # torch's name for it; an autograd.Function takes no keywords


def _in_place(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda input: input.copy_(function(input))


class WatchedArithmetic(TorchFunctionMode):
    """Within it, tanh and sigmoid have derivatives that keep their digits, also those inside torch's recurrent cells.

    With a `disturbance`, every result that rounding touches is multiplied by numbers that far from 1 at most (Monte
    Carlo arithmetic; Parker 1997): what cancellation does to it then shows as a difference from an undisturbed run.
    The disturbance is for the dtype of `like`; results of another are disturbed by as many units of their own.

    Where the function is `traced`, its tanh and sigmoid stay torch's: whoever reads the trace knows their derivatives.

    Functions of several operations are taken apart where that is known (functions.py). What is not seen into, or
    computed in another way than it can be watched, is called as it stands, and its name is added to `unchecked`.
    """

    def __init__(self, like: Tensor, disturbance: float = 0.0, *, traced: bool = False) -> None:
        super().__init__()
        self._tanh, self._sigmoid = (torch.tanh, torch.sigmoid) if traced else (_tanh, _sigmoid)
        self._substitutes: dict[str, Callable[..., Any]] = {
            "tanh": _substitute(self._tanh),
            "tanh_": _in_place(self._tanh),
            "sigmoid": _substitute(self._sigmoid),
            "sigmoid_": _in_place(self._sigmoid),
            "expit": _substitute(self._sigmoid),
            "special_expit": _substitute(self._sigmoid),
            "rnn_tanh_cell": self._rnn_cell,
            "rnn_relu_cell": self._relu_cell,
            "gru_cell": self._gru_cell,
            "lstm_cell": self._lstm_cell,
        }
        self.unchecked: set[str] = set()
        self._place = 0
        self._units = disturbance / torch.finfo(like.dtype).eps
        self._noise: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __torch_function__(
        self, function: Any, kinds: Any, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        name = getattr(function, "__name__", "")
        if "out" not in options and plain_name(name) in COMPOSED:
            composed = self._composed(name, arguments, options)
            if composed is not None:
                return composed
        chosen = function if "out" in options else self._substitutes.get(name, function)
        result = chosen(*arguments, **options)
        if chosen is function and name not in EXACT and plain_name(name) not in SINGLE:
            self._note_unchecked(name, arguments, options, result)
        if not self._units or (name in EXACT and not _narrows(name, arguments, result)):
            return result
        disturbed = self._disturbed(result)
        written = "out" in options or (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
        if written and isinstance(result, Tensor) and result is not disturbed:
            return result.copy_(disturbed)  # who holds the changed tensor sees the disturbance too
        return disturbed

    def _composed(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Return the function in terms of others, which are watched; None where it is used in a way that is not
        known."""
        try:
            with self:
                result = COMPOSED[plain_name(name)](*arguments, **options)
        except NotImplementedError:
            return None
        in_place = options.get("inplace", False) or (name.endswith("_") and not name.endswith("__"))
        given = arguments[0] if arguments else options.get("input")
        return given.copy_(result) if in_place and isinstance(given, Tensor) else result

    def _note_unchecked(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any], result: Any) -> None:
        """Where real numbers were made of real numbers by what is not seen into."""
        made = result if isinstance(result, tuple | list) else (result,)
        if any(_is_real(value) for value in made) and any(_is_real(value) for value in _flat((arguments, options))):
            self.unchecked.add(name)

    def _disturbed(self, result: Any) -> Any:
        if isinstance(result, tuple | list):
            return type(result)(self._disturbed(value) for value in result) if type(result) in (tuple, list) else result
        if not isinstance(result, Tensor) or result.dtype not in _FLOATING or not self._units:
            return result
        count = result.numel()
        self._place = (self._place * 29 + 1013) % _TABLE
        noise = self._noise_for(result).roll(self._place).repeat(-(-count // _TABLE))[:count]
        return result * noise.view(result.shape)

    def _noise_for(self, result: Tensor) -> Tensor:
        """Return the table in the result's dtype, on its device."""
        key = (result.dtype, result.device)
        if key not in self._noise:
            drawn = torch.empty(_TABLE, dtype=torch.float64).uniform_(-1, 1, generator=Rounding.source("cpu"))
            factors = 1 + self._units * torch.finfo(result.dtype).eps * drawn
            self._noise[key] = factors.to(device=result.device, dtype=result.dtype)
        return self._noise[key]

    def _gates(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._disturbed(torch.nn.functional.linear(x, weight, bias))

    def _rnn_cell(self, x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None) -> Tensor:
        return self._tanh(self._gates(x, w_x, b_x) + self._gates(h, w_h, b_h))

    def _relu_cell(self, x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None) -> Tensor:
        return torch.relu(self._gates(x, w_x, b_x) + self._gates(h, w_h, b_h))

    def _gru_cell(self, x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None) -> Tensor:
        x_r, x_z, x_n = self._gates(x, w_x, b_x).chunk(3, dim=-1)
        h_r, h_z, h_n = self._gates(h, w_h, b_h).chunk(3, dim=-1)
        a = x_z + h_z
        n = self._disturbed(self._tanh(x_n + self._sigmoid(x_r + h_r) * h_n))
        return self._sigmoid(-a) * n + self._sigmoid(a) * h

    def _lstm_cell(
        self, x: Tensor, state: Sequence[Tensor], w_x: Tensor, w_h: Tensor, b_x: Any = None, b_h: Any = None
    ) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, g, o = (self._gates(x, w_x, b_x) + self._gates(h, w_h, b_h)).chunk(4, dim=-1)
        c = self._disturbed(self._sigmoid(f) * c + self._sigmoid(i) * self._tanh(g))
        return self._sigmoid(o) * self._tanh(c), c


def _narrows(name: str, arguments: Sequence[Any], result: Any) -> bool:
    """Whether a conversion was to a floating dtype of fewer digits."""
    if name not in _CONVERSIONS or not arguments or not isinstance(arguments[0], Tensor):
        return False
    if not isinstance(result, Tensor) or not {result.dtype, arguments[0].dtype} <= _FLOATING:
        return False
    return torch.finfo(result.dtype).eps > torch.finfo(arguments[0].dtype).eps


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _flat(values: Any) -> Iterator[Any]:
    """Yield what stands in nested tuples, lists and dictionaries."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if not isinstance(values, tuple | list):
        yield values
        return
    for value in values:
        yield from _flat(value)
