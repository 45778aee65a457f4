"""Which spectra a fitted AeLLE takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError


@dataclass(frozen=True)
class TakenSpectra:
    """What the spectra were that an AeLLE was fitted to, and what all others must be like: an array alone cannot say.

    task        what the networks learned         cells    their cells
    kind        "hidden" or "full"                steps    steps that each exponent is a mean over
    exponents   how many, descending              unit     of an exponent
    """

    task: str
    cells: tuple[str, ...]
    kind: str
    exponents: int
    steps: int
    unit: str = "nats per step"

    @property
    def _kind_in_words(self) -> str:
        return "closed-loop" if self.kind == "closed_loop" else f"{self.kind}-state"

    def __str__(self) -> str:
        return (
            f"{self._kind_in_words} spectra of {counted(self.exponents, 'exponent')}, descending, {self.unit} over "
            f"{counted(self.steps, 'step')} of {self.task!r}, of {', '.join(self.cells)}"
        )

    def check(
        self,
        *,
        task: str | None = None,
        cell: str | None = None,
        kind: str | None = None,
        exponents: int | None = None,
        steps: int | None = None,
        unit: str | None = None,
    ) -> None:
        """Raise UserError, saying what is taken, where anything that is known of other spectra differs."""
        for name, value in (
            ("task", task), ("kind", kind), ("exponents", exponents), ("steps", steps), ("unit", unit),
        ):  # fmt: skip
            if value is not None and value != getattr(self, name):
                raise UserError(f"spectra with {name}={value!r}: this AeLLE takes {self}")
        if cell is not None and cell not in self.cells:
            raise UserError(f"spectra of cell {cell!r}: this AeLLE takes {self}")


def check_taken(takes: TakenSpectra, spectra: Any, known: int = 0) -> None:
    """Raise UserError where an array, or a list of spectra, cannot be what is taken; the last `known` columns are no
    exponents."""
    for spectrum in spectra if isinstance(spectra, Sequence) else [spectra]:
        exponents = np.asarray(spectrum)
        if not exponents.ndim or exponents.dtype.kind not in "fiu":
            continue  # refused by whoever reads the numbers
        exponents = exponents[..., : exponents.shape[-1] - known]
        takes.check(exponents=exponents.shape[-1])
        if np.any(exponents[..., :-1] < exponents[..., 1:]):
            raise UserError(f"spectra that rise: this AeLLE takes {takes}")
