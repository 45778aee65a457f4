"""Ranges that hyperparameters are drawn from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aelle_core.foundation.errors import UserError, unknown_name


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

    @property
    def varies(self) -> bool:
        """Whether there is more than one value in it."""
        return self.low < self.high

    def at(self, position: float) -> float:
        """Return the value at `position` in [0, 1] between low and high, along the range's own spacing."""
        if self.spacing == "linear":
            return self.low + position * (self.high - self.low)
        return math.exp(math.log(self.low) + position * (math.log(self.high) - math.log(self.low)))

    @staticmethod
    def parse(value: object) -> "Range":
        """Return a Range from what a person writes: a Range, a number (constant), [low, high], [low, high, spacing],
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


class WholeRange(Range):
    """A range of whole numbers of at least 1: drawn from low - 1/2 to high + 1/2 and rounded, so that both ends come
    as often as the others do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low < 1 or self.low % 1 or self.high % 1:
            raise UserError(f"range {self}: expected whole numbers of at least 1")

    def at(self, position: float) -> float:
        wide = Range(self.low - 0.5, self.high + 0.5, self.spacing).at(position)
        return min(max(float(round(wide)), self.low), self.high)

    @staticmethod
    def parse(value: object) -> "WholeRange":
        """From what Range.parse takes. Raises UserError where it does, and on numbers that are not whole or below 1."""
        bounds = Range.parse(value)
        return WholeRange(bounds.low, bounds.high, bounds.spacing)


@dataclass(frozen=True)
class Choice:
    """Names, of which each is drawn as often as any other."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return " or ".join(self.names)

    @property
    def varies(self) -> bool:
        """Whether there is more than one name in it."""
        return len(self.names) > 1

    def at(self, position: float) -> str:
        """Return the name at `position` in [0, 1)."""
        return self.names[min(int(position * len(self.names)), len(self.names) - 1)]

    @staticmethod
    def parse(value: object, kind: str, known: Sequence[str]) -> "Choice":
        """Return a Choice from a name or a list of names, all among the `known`. Raises UserError, naming them,
        otherwise."""
        names = (value,) if isinstance(value, str) else value
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            if unknown := [name for name in names if name not in known]:
                raise unknown_name(kind, unknown[0], known)
            if len(set(names)) == len(names):
                return Choice(tuple(names))
        raise UserError(f"{kind} {value!r}: expected some of {', '.join(known)}, each once")
