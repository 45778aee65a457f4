"""What tangents did along sequences of different lengths, put together as if they had been followed at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from aelle_core.lyapunov.accepting.adapters import Part
from aelle_core.lyapunov.precision import growth_of
from aelle_core.lyapunov.result import Precision
from aelle_core.lyapunov.tally import Growth

_LEAST_FIRST: tuple[Precision, ...] = ("fast", "exact", "extended")


def growth_of_parts(
    parts: Sequence[Part],
    k: int,
    warmup: int,
    precision: Precision,
    check: bool,
    every: int | None,
    on_step: Callable[[int], object] | None,
) -> tuple[Growth, int, Precision]:
    """Follow k tangents of one network along all its sequences, length by length; see growth_of.

    Of several lengths the result's `lengths` has the counted steps of each sequence, and the precision is the least
    one that was used for any of them. `on_step` counts the steps of all lengths.
    """
    followed = []
    before = 0
    for part in parts:
        report = None if on_step is None else _counting_on(on_step, before)
        followed += growth_of(part.system, k, part.steps, warmup, precision, check, every, report)
        before += part.steps
    if len(parts) == 1:
        return followed[0]
    used = min((used for _, _, used in followed), key=_LEAST_FIRST.index)
    growths = [_of_network(growth, index) for growth, index, _ in followed]
    order = torch.tensor([index for part in parts for index in part.indices or ()]).argsort()
    counted = torch.cat([torch.full((growth.finite.shape[1],), growth.steps) for growth in growths])

    def joined(field: str) -> Tensor:
        values = torch.cat([getattr(growth, field) for growth in growths], dim=1)
        return values[:, order.to(values.device)]

    return (
        Growth(
            logarithms=joined("logarithms"),
            errors=None if growths[0].errors is None else joined("errors"),
            ceilings=joined("ceilings"),
            residuals=joined("residuals"),
            finite=joined("finite"),
            steps=max(growth.steps for growth in growths),
            lengths=counted[order].to(growths[0].logarithms.device),
        ),
        0,
        used,
    )


def _counting_on(on_step: Callable[[int], object], before: int) -> Callable[[int], object]:
    return lambda step: on_step(before + step)


def _of_network(growth: Growth, index: int) -> Growth:
    """Return the growth of one network of a pack, as a pack of one."""
    kept = slice(index, index + 1)
    errors = None if growth.errors is None else growth.errors[kept]
    fields = {name: getattr(growth, name)[kept] for name in ("logarithms", "ceilings", "residuals", "finite")}
    return replace(growth, **fields, errors=errors, batches=None, running=None, running_steps=None)
