"""A penalty on exponents, to be added to a loss."""

from typing import Any

import torch
from torch import Tensor, nn

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.lyapunov.differentiable.exponents import lyapunov_exponents


class LyapunovRegularizer:
    """Penalise the squared distance of the leading exponents of a recurrent layer from a target.

    Args:
        k: How many leading exponents.
        target: Nats per step: one number for all of them, or k numbers. 0 keeps gradients from vanishing or exploding.
        segment, truncate, warmup, every: As in `lyapunov_exponents`.

    >>> import torch
    >>> from aelle_core import LyapunovRegularizer
    >>> gru, penalty = torch.nn.GRU(3, 8, batch_first=True), LyapunovRegularizer(k=2)
    >>> penalty(gru, torch.zeros(4, 20, 3)).backward()  # in training: (loss + weight * penalty(...)).backward()

    An orthogonal start with small input weights often does as well, at no cost: try that first.
    Engelken, Gradient flossing, 2023, proposed the penalty; its gradient here is exact.
    """

    def __init__(
        self,
        k: int,
        target: float | Tensor = 0.0,
        *,
        warmup: int = 0,
        every: int = 1,
        segment: int | None = None,
        truncate: int | None = None,
    ) -> None:
        goal = torch.as_tensor(target, dtype=torch.float64)
        check_whole("k", k, 1)
        if goal.dim() > 1 or (goal.dim() == 1 and len(goal) != k) or not bool(goal.isfinite().all()):
            raise UserError(f"target={target!r}: expected a finite number, or k={k} of them")
        self.k, self.target = k, goal
        self._how: dict[str, Any] = {"warmup": warmup, "every": every, "segment": segment, "truncate": truncate}

    def __call__(self, module: nn.Module | Any, inputs: Tensor | None = None, **options: Any) -> Tensor:
        """Return the mean over sequences and exponents of (exponent - target)^2, a scalar; dead ones do not count.

        `module` and `inputs` (batch, time, features) are what `lyapunov_exponents` takes, as are `options`.
        """
        exponents = lyapunov_exponents(module, inputs, k=self.k, **self._how, **options)
        alive = exponents.isfinite()
        apart = torch.where(alive, exponents, self.target.to(exponents)) - self.target.to(exponents)
        return apart.square().sum() / max(1, int(alive.sum()))
