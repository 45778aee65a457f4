"""What a disturbed study must hold: every row of an undisturbed one, once, with the same numbers."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from aelle_core.study import RunDirectory, Study, run_study


def undisturbed(study: Study, directory: Path) -> pa.Table:
    """The rows of the same study, trained in this process, without Prefect and Ray, in the same way."""
    import torch

    torch.set_num_threads(1)  # as in a pack with one CPU: another number may change the last bits
    run = RunDirectory(directory)
    run_study(study, run, way="packed")
    return run.store.read()


def differences(found: pa.Table, expected: pa.Table, tolerance: float = 0.0) -> list[str]:
    """What is missing, doubled or other in `found`, in words; nothing where all is well.

    Losses, accuracies and spectra may differ by a relative `tolerance`; 0 demands the same bits.
    """
    names, others = _names(found), _names(expected)
    problems = []
    if len(set(names)) < len(names):
        problems.append(f"{len(names) - len(set(names))} rows are doubled")
    if missing := set(others) - set(names):
        problems.append(f"{len(missing)} rows are missing, such as {min(missing)}")
    if more := set(names) - set(others):
        problems.append(f"{len(more)} rows are too many, such as {min(more)}")
    if problems:
        return problems
    for column in found.schema.names:
        if pa.types.is_floating(found.schema.field(column).type) or pa.types.is_list(found.schema.field(column).type):
            one, other = _numbers(found[column]), _numbers(expected[column])
            if one.shape != other.shape or not np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True):
                problems.append(f"{column} differs")
        elif found[column].to_pylist() != expected[column].to_pylist():
            problems.append(f"{column} differs")
    return problems


def _names(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["network"].to_pylist(), table["epoch"].to_pylist(), strict=True))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, or of lists of them one after the other, with NaN for what is not there."""
    values = [value for row in column.to_pylist() for value in (row if isinstance(row, list) else [row])]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
