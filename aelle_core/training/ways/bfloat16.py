"""The cell's own step under autograd, with its products in bfloat16."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aelle_core.training.ways.base import ways
from aelle_core.training.ways.packed import Packed


@ways.register("bfloat16")
class BFloat16(Packed):
    """Factors and results of batched products are rounded to 8 significant bits, forward and backward; all else is
    float32, as are the parameters. The trained networks differ a little from those of float32:
    `python -m benchmarks.spectrum.arithmetic` says how much. Spectra are computed
    from the parameters in float64, whatever trained them."""

    rounded = True

    def arithmetic(self) -> TorchFunctionMode:
        return _Products()


class _Products(TorchFunctionMode):
    """Not torch.autocast, whose results stay in bfloat16: states would lose their small steps."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.bmm and not kwargs:
            return _product(*args)
        if function is torch.baddbmm and not kwargs:
            return args[0] + _product(*args[1:])
        return function(*args, **kwargs)


def _product(left: Tensor, right: Tensor) -> Tensor:
    return torch.bmm(left.bfloat16(), right.bfloat16()).to(left.dtype)
