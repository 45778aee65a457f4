"""One network after one epoch, and the schema it is stored with."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

SCHEMA_VERSION = "1"
PARTITION_KEYS = ("study", "cell", "epoch")

SCHEMA = pa.schema(
    [
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
    ],
    metadata={"aelle_schema": SCHEMA_VERSION},
)
"""Losses in nats; accuracies in [0, 1]; spectra in nats per step, descending, -inf for dead directions."""

FILE_SCHEMA = pa.schema([field for field in SCHEMA if field.name not in PARTITION_KEYS], metadata=SCHEMA.metadata)
"""What a file holds: the partition keys are in its path."""


@dataclass(frozen=True, eq=False)
class NetworkRecord:
    """One network after one epoch (0: before training).

    `status` is "ok", or "diverged" when weights, losses or spectrum stopped being finite; then there is no spectrum.
    Test loss and accuracy are there in the last epoch. Losses in nats, spectra in nats per step.
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
    validation_accuracy: float
    test_loss: float | None = None
    test_accuracy: float | None = None
    spectrum_hidden: np.ndarray | None = None
    spectrum_full: np.ndarray | None = None
    dead_directions: int | None = None
    sum_rule_residual: float | None = None


def records_table(records: Sequence[NetworkRecord]) -> pa.Table:
    """Records as a table of SCHEMA."""
    columns: dict[str, list[Any]] = {
        field.name: [getattr(r, field.name) for r in records] for field in fields(records[0])
    }
    columns["hyperparameters"] = [sorted(each.items()) for each in columns["hyperparameters"]]
    return pa.table(columns, schema=SCHEMA)


def estimated_row_bytes(exponents: int) -> int:
    """About how many bytes a row with so many stored exponents takes on disk (measured: spectra hardly compress)."""
    return 150 + 4 * exponents
