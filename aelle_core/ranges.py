"""Ranges that hyperparameters are drawn from."""

import math
from dataclasses import dataclass
from typing import Literal

from aelle_core.errors import UserError


@dataclass(frozen=True)
class Range:
    """An interval and how to draw from it: uniformly in the value ("linear") or in its logarithm ("log")."""

    low: float
    high: float
    spacing: Literal["linear", "log"] = "log"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise UserError(f"range {self}: expected finite numbers with low <= high")
        if self.spacing not in ("linear", "log"):
            raise UserError(f"range spacing {self.spacing!r}: expected 'linear' or 'log'")
        if self.spacing == "log" and self.low <= 0:
            raise UserError(f"range {self}: a logarithmic range needs low > 0")

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        return f"{self.low:g} to {self.high:g} ({self.spacing})"

    def at(self, position: float) -> float:
        """The value at `position` in [0, 1] between low and high, along the range's own spacing."""
        if self.spacing == "linear":
            return self.low + position * (self.high - self.low)
        return math.exp(math.log(self.low) + position * (math.log(self.high) - math.log(self.low)))

    @staticmethod
    def parse(value: object) -> "Range":
        """A Range from what a person writes: a Range, a number (constant), [low, high], [low, high, spacing],
        or a mapping with these keys. Raises UserError on anything else."""
        match value:
            case Range():
                return value
            case bool():
                pass
            case int() | float():
                return Range(float(value), float(value), "linear")
            case [int() | float() as low, int() | float() as high]:
                return Range(float(low), float(high), "log" if low > 0 else "linear")
            case [int() | float() as low, int() | float() as high, str() as spacing]:
                return Range(float(low), float(high), spacing)  # type: ignore[arg-type]
            case {"low": int() | float() as low, "high": int() | float() as high, **rest} if set(rest) <= {"spacing"}:
                return Range(float(low), float(high), rest.get("spacing", "log"))  # type: ignore[arg-type]
        raise UserError(f"range {value!r}: expected a number, [low, high] or [low, high, 'log' or 'linear']")
