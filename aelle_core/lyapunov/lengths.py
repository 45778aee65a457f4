"""What tangents did along sequences of different lengths, put together as if they had been followed at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from aelle_core.lyapunov.accepting.adapters import Part
from aelle_core.lyapunov.growth import Growth
from aelle_core.lyapunov.precision import growth_of
from aelle_core.lyapunov.result import Precision

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
    growths = [growth.of_networks([index]) for growth, index, _ in followed]
    order = torch.tensor([index for part in parts for index in part.indices or ()]).argsort()
    counted = torch.cat([torch.full((growth.finite.shape[1],), growth.steps) for growth in growths])
    whole = Growth.joined(growths).of_sequences(order)
    return replace(whole, lengths=counted[order].to(whole.logarithms.device)), 0, used


def _counting_on(on_step: Callable[[int], object], before: int) -> Callable[[int], object]:
    return lambda step: on_step(before + step)
