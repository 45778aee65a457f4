"""What the columns of a row may hold, checked for whole tables at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aelle_core.store.digests import joined
from aelle_core.store.schema import MEASURES, SCHEMA

STATUSES = ("ok", "diverged")


@dataclass(frozen=True)
class Wrong:
    """The first row that breaks a definition: its index, and what it holds and should hold."""

    row: int
    sentence: str


@dataclass(frozen=True)
class _Rule:
    """What is expected of some columns: `breaks` gives (rows,) whether each row does not meet it. The last column's
    value is shown."""

    columns: tuple[str, ...]
    expected: str
    breaks: Callable[..., np.ndarray]


def first_wrong(table: pa.Table) -> Wrong | None:
    """Return the first row of a table of some columns of the schema that is outside of their definitions."""
    if not table.num_rows:
        return None
    for rule in _RULES:
        if set(rule.columns) <= set(table.column_names):
            rows = np.flatnonzero(rule.breaks(*(table[name] for name in rule.columns)))
            if len(rows):
                row, name = int(rows[0]), rule.columns[-1]
                shown = str(table[name][row].as_py())
                shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
                of = f" of {table['network'][row].as_py()}" if "network" in table.column_names else ""
                return Wrong(row, f"{name}{of} is {shown}: expected {rule.expected}")
    return None


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of numbers, NaN for what is not there."""
    return column.cast(pa.float64()).to_numpy()


def _is_ok(status: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(pc.equal(status, "ok"), False).to_numpy(zero_copy_only=False)


def _is_no_status(status: pa.ChunkedArray) -> np.ndarray:
    return ~pc.is_in(status, pa.array(STATUSES)).to_numpy(zero_copy_only=False)


def _outside(low: float, high: float) -> Callable[[pa.ChunkedArray], np.ndarray]:
    """Whether a number that is there is none of [low, high]; NaN is there and is not counted."""

    def breaks(column: pa.ChunkedArray) -> np.ndarray:
        values = _numbers(column)
        return (values < low) | (values > high)

    return breaks


def _not_finite(column: pa.ChunkedArray) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False) & ~np.isfinite(_numbers(column))


def _is_no_spectrum(column: pa.ChunkedArray) -> np.ndarray:
    """Whether a spectrum that is there is empty, rises, or holds NaN or inf."""
    array = joined(column)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    offsets = array.offsets.to_numpy()
    lengths = np.diff(offsets)
    values = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(array)), lengths)
    broken = np.zeros(len(array), bool)
    broken[row[np.isnan(values) | (values == np.inf)]] = True
    with np.errstate(invalid="ignore"):
        broken[row[1:][(values[1:] > values[:-1]) & (row[1:] == row[:-1])]] = True
    return present & (broken | (lengths == 0))


_SPECTRA = [name for name in SCHEMA.names if name.startswith("spectrum_")]
_RULES = (
    _Rule(("status",), f"one of {', '.join(STATUSES)}", _is_no_status),
    _Rule(("units",), "at least 1", _outside(1, np.inf)),
    _Rule(("dead_directions",), "at least 0", _outside(0, np.inf)),
    *(_Rule((name,), "at least 0", _outside(0, np.inf)) for name in ("train_loss", "validation_loss", "test_loss")),
    *(_Rule((name,), "a number from 0 to 1", _outside(0, 1)) for name in ("validation_accuracy", "test_accuracy")),
    _Rule(
        ("status", "validation_loss"),
        "a finite number where the status is ok",
        lambda status, loss: _is_ok(status) & ~np.isfinite(_numbers(loss)),
    ),
    *(_Rule((name,), "at least one exponent, falling, finite or -inf", _is_no_spectrum) for name in _SPECTRA),
    *(
        _Rule(
            ("status", name),
            "none where the network diverged",
            lambda status, spectrum: ~_is_ok(status) & spectrum.is_valid().to_numpy(zero_copy_only=False),
        )
        for name in _SPECTRA
    ),
    *(_Rule((name,), "a finite number or none", _not_finite) for name in MEASURES),
)
