"""Where operands stand: at even distances where they do, in a table where they do not."""

from typing import Any

import numpy as np
from llvmlite import ir

from aelle_core.foundation.vector_instructions import INDEX

_ENTRY = ir.IntType(32)


class Places:
    """Whole numbers (count,) or (count, terms) that compiled code finds by index."""

    def __init__(self, module: ir.Module, numbers: np.ndarray) -> None:
        self.numbers = numbers if numbers.ndim == 2 else numbers[:, None]
        self.steps = _even_steps(self.numbers)
        self.table: Any = None
        if self.steps is None:
            flat = self.numbers.astype(np.int32).flatten()
            kind = ir.ArrayType(_ENTRY, len(flat))
            self.table = ir.GlobalVariable(module, kind, module.get_unique_name("places"))
            self.table.global_constant, self.table.linkage = True, "internal"
            self.table.initializer = ir.Constant(kind, flat.tolist())

    def at(self, builder: Any, row: Any, term: Any = 0) -> Any:
        """Return the number at a row, or at a term of a row; both Python's numbers or values of the function."""
        if isinstance(row, int) and isinstance(term, int):
            return ir.Constant(INDEX, int(self.numbers[row, term]))
        row_value, term_value = (
            ir.Constant(INDEX, number) if isinstance(number, int) else number for number in (row, term)
        )
        if self.steps is None:
            position = builder.add(builder.mul(row_value, ir.Constant(INDEX, self.numbers.shape[1])), term_value)
            entry = builder.gep(self.table, [ir.Constant(INDEX, 0), position])
            return builder.sext(builder.load(entry), INDEX)
        total = ir.Constant(INDEX, int(self.numbers[0, 0]))
        for step, index in zip(self.steps, (row_value, term_value), strict=True):
            if step:
                total = builder.add(total, builder.mul(index, ir.Constant(INDEX, step)))
        return total


def _even_steps(numbers: np.ndarray) -> tuple[int, int] | None:
    rows, terms = numbers.shape
    by_row = int(numbers[1, 0] - numbers[0, 0]) if rows > 1 else 0
    by_term = int(numbers[0, 1] - numbers[0, 0]) if terms > 1 else 0
    even = numbers[0, 0] + by_row * np.arange(rows)[:, None] + by_term * np.arange(terms)
    return (by_row, by_term) if bool((even == numbers).all()) else None
