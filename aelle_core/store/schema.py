"""One network after one epoch, the schema it is stored with, and how rows of that schema are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aelle_core.foundation.errors import UserError

SCHEMA_VERSION = "1"
Selection = str | int | Sequence[str] | Sequence[int] | None
PARTITION_KEYS = ("study", "cell", "epoch")

MEASURES: dict[str, str] = {
    "valid_prediction_time": "how long free runs follow the data, in Lyapunov times, or in steps",
    "climate": "distance between histograms of free runs and data, 0 to 1",
    "d_stsp": "state-space divergence of free runs from data, nats",
    "d_h": "Hellinger distance between power spectra of free runs and data, 0 to 1",
    "diverged_share": "share of free runs that diverge",
    "dead_share": "share of free runs that stand still",
    "exponents_error": "mean difference of closed-loop exponents from the system's own, nats per unit of time",
}
"""What else may be measured of a network after an epoch: a column of numbers for each name, with what it says. A new
measure is a line here and an entry in NetworkRecord.measures; files that were written without it read as nulls."""

_FIELDS = [
    pa.field("study", pa.string(), nullable=False),
    pa.field("task", pa.string(), nullable=False),
    pa.field("cell", pa.string(), nullable=False),
    pa.field("units", pa.int32(), nullable=False),
    pa.field("network", pa.string(), nullable=False),
    pa.field("pack", pa.string(), nullable=False),
    pa.field("epoch", pa.int32(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("hyperparameters", pa.map_(pa.string(), pa.float64())),
    pa.field("train_loss", pa.float64()),
    pa.field("validation_loss", pa.float64()),
    pa.field("validation_accuracy", pa.float64()),
    pa.field("test_loss", pa.float64()),
    pa.field("test_accuracy", pa.float64()),
    pa.field("spectrum_hidden", pa.list_(pa.float32())),
    pa.field("spectrum_full", pa.list_(pa.float32())),
    pa.field("dead_directions", pa.int32()),
    pa.field("sum_rule_residual", pa.float64()),
]
_OPTIONAL = [pa.field("spectrum_closed_loop", pa.list_(pa.float32()))]
SCHEMA = pa.schema(
    [*_FIELDS, *_OPTIONAL, *(pa.field(name, pa.float64()) for name in MEASURES)],
    metadata={"aelle_schema": SCHEMA_VERSION},
)
"""Losses in the task's unit, mostly nats; accuracies in [0, 1]; spectra in nats per step, descending, -inf for dead
directions."""

FILE_SCHEMA = pa.schema([column for column in SCHEMA if column.name not in PARTITION_KEYS], metadata=SCHEMA.metadata)
"""What a file holds: the partition keys are in its path."""

REQUIRED = frozenset(column.name for column in _FIELDS) - set(PARTITION_KEYS)
"""The columns that every file has. It may lack others: it was written before they were measured, or without them."""


class StoreError(UserError):
    """A file or directory that is not what the store expects; the message names it."""


@dataclass(frozen=True, eq=False)
class NetworkRecord:
    """One network after one epoch (0: before training).

    `status` is "ok", or "diverged" when weights, losses or spectrum stopped being finite; then there is no spectrum.
    Test loss and accuracy are there in the last epoch, accuracies where the task has them, spectra in the epochs in
    which the study takes them. Losses in the task's unit (mostly nats), spectra in nats per step. `measures` are more
    numbers by their names in MEASURES.
    """

    study: str
    task: str
    cell: str
    units: int
    network: str
    pack: str
    epoch: int
    seed: int
    status: str
    hyperparameters: dict[str, float]
    train_loss: float
    validation_loss: float
    validation_accuracy: float | None
    test_loss: float | None = None
    test_accuracy: float | None = None
    spectrum_hidden: np.ndarray | None = None
    spectrum_full: np.ndarray | None = None
    dead_directions: int | None = None
    sum_rule_residual: float | None = None
    spectrum_closed_loop: np.ndarray | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


def records_table(records: Sequence[NetworkRecord]) -> pa.Table:
    """Return records as a table of SCHEMA, without the measures that none of them has. Raises StoreError on unknown
    ones."""
    measured = {name for record in records for name in record.measures}
    if unknown := sorted(measured - set(MEASURES)):
        raise StoreError(f"unknown measure {', '.join(unknown)}: expected some of {', '.join(MEASURES) or 'none'}")
    columns: dict[str, list[Any]] = {
        field.name: [getattr(record, field.name) for record in records]
        for field in fields(records[0])
        if field.name != "measures"
    }
    columns["hyperparameters"] = [sorted(drawn.items()) for drawn in columns["hyperparameters"]]
    if not any(spectrum is not None for spectrum in columns["spectrum_closed_loop"]):
        del columns["spectrum_closed_loop"]  # of studies without free runs
    columns |= {name: [record.measures.get(name) for record in records] for name in MEASURES if name in measured}
    return pa.table(columns, schema=pa.schema([SCHEMA.field(name) for name in columns], metadata=SCHEMA.metadata))


def estimated_row_bytes(exponents: int, pack_size: int = 16) -> int:
    """Return about how many bytes a row with this many exponents takes on disk, before any compaction.

    Measured: 5 kB a fragment, shared by the pack's rows, 70 bytes a row, and 3.3 bytes an exponent.
    """
    return round(5000 / pack_size + 70 + 3.3 * exponents)


def rows_condition(choices: dict[str, Selection]) -> pc.Expression:
    """Rows with one of the chosen values in every column that has a choice."""
    condition = pc.scalar(True)
    for name, value in choices.items():
        if value is None:
            continue
        try:
            values = [value] if isinstance(value, str | int | Integral) else list(value)
            condition &= pc.field(name).isin(pa.array(values, SCHEMA.field(name).type))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            other = ", or 'last'" if name == "epoch" else ""
            raise StoreError(f"{name}={value!r}: expected {SCHEMA.field(name).type} or several{other}") from error
    return condition
