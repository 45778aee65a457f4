"""Axes of inline pictures: numbers to places, and ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator

_DECADES = {sign * level for sign in (-1, 1) for level in (0, 1, 3, 10, 30, 100, 300, 1000)}


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on a line from `start` to `end`, in units of the picture.

    "symlog" shows numbers linearly from -1 to 1 and by their logarithm beyond.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Literal["linear", "symlog"] = "linear"

    @classmethod
    def around(cls, values: Sequence[float] | np.ndarray, start: float, end: float, margin: float = 0.04) -> "Axis":
        """Return a linear axis that holds the values (n,), with a margin on both sides; a single value is in its
        middle."""
        low, high = float(np.min(values)), float(np.max(values))
        room = margin * (high - low) or 0.5
        return cls(low - room, high + room, start, end)

    def position(self, value: float) -> float:
        """Return where a number lies, to a tenth; what is beyond the axis lies at its end."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(min(max(value, self.low), self.high)) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Return places with their numbers as text."""
        if self.kind == "symlog":
            numbers = [float(level) for level in sorted(_DECADES) if self.low <= level <= self.high]
        else:
            ticks = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            numbers = [float(tick) for tick in ticks if self.low <= tick <= self.high]
        return [(self.position(number), f"{number:g}".replace("-", "\N{MINUS SIGN}")) for number in numbers]

    def _scaled(self, value: float) -> float:
        if self.kind == "linear" or abs(value) <= 1:
            return value
        return math.copysign(1 + math.log10(abs(value)), value)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` of an SVG path through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
