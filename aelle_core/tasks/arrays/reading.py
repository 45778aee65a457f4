"""Recordings from a file or a directory: .npz, .npy, Parquet and CSV, on this machine or at an address."""

import dataclasses
import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from aelle_core.files.places import Place, arrow_file, check_is_file, place, unreachable
from aelle_core.foundation.errors import UserError, first_line, some_of
from aelle_core.tasks.arrays.columns import Columns
from aelle_core.tasks.arrays.recordings import Recordings, from_arrays

if TYPE_CHECKING:
    import pyarrow as pa

_TABLES = (".csv", ".parquet", ".pq")
ENDINGS = (".npz", ".npy", *_TABLES)
_NAMES = {"inputs": ("inputs", "x", "X", "data"), "targets": ("targets", "y", "labels", "label", "target")}


def read_recordings(address: str, columns: Columns) -> Recordings:
    """Return the sequences of a file, or of all files of a directory in the order of their names.

    In a directory each file without a column of sequences is one; where it has only directories, their files
    are of the class that each directory is named. No pickle is ever loaded. Raises UserError where
    something cannot be had or read.
    """
    where = place(address)
    try:
        if where.is_dir():
            return _read_directory(where, columns)
        return _read_file(where, columns)
    except OSError as error:
        raise unreachable(where, error) from error


def _expected() -> str:
    return f"a file that ends with {', '.join(ENDINGS)}, or a directory of them"


def _read_file(path: Place, columns: Columns) -> Recordings:
    check_is_file(path, _expected(), "arrays: ")
    if path.suffix not in ENDINGS:
        raise UserError(f"arrays: {str(path)!r} ends with {path.suffix!r}: expected {_expected()}")
    source = repr(str(path))
    if path.suffix in _TABLES:
        return columns.recordings(_table(path), source)
    try:
        held = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        arrays = {"inputs": held} if isinstance(held, np.ndarray) else {name: held[name] for name in held.files}
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(
            f"arrays: {source} cannot be read ({first_line(error)}): expected NumPy's arrays of numbers"
        ) from error
    arrays_read = {}
    for what, names in _NAMES.items():
        if (name := next((label for label in names if label in arrays), None)) is not None:
            arrays_read[what] = arrays[name]
    if "inputs" not in arrays_read:
        raise UserError(
            f"arrays: {source} holds {some_of(list(arrays)) or 'nothing'}: expected inputs (sequences, time, "
            "features), and targets where there are some"
        )
    called = {
        label: [str(text) for text in arrays[label]] for label in ("features", "outputs", "names") if label in arrays
    }
    return from_arrays(
        arrays_read["inputs"], arrays_read.get("targets"), arrays.get("lengths"), source=source, **called
    )


def _table(path: Place) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    name, filesystem = arrow_file(path)
    try:
        if path.suffix == ".csv":
            with filesystem.open_input_stream(name) as stream:
                return pyarrow.csv.read_csv(stream)
        return pq.read_table(name, filesystem=filesystem)
    except pa.ArrowInvalid as error:
        raise UserError(f"arrays: {str(path)!r} cannot be read ({first_line(error)}): expected a table") from error


def _read_directory(directory: Place, columns: Columns) -> Recordings:
    entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith((".", "_")))
    classes = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if entry.suffix in ENDINGS and entry not in classes]
    if files:
        return _joined([(path, _read_file(path, columns)) for path in files], str(directory))
    read, labels = [], []
    for folder in classes:
        for path in sorted(path for path in folder.iterdir() if path.suffix in ENDINGS):
            recordings = _read_file(path, columns)
            read.append((path, dataclasses.replace(recordings, targets=None, outputs=[])))
            labels += [folder.name] * len(recordings.lengths)
    if not read:
        raise UserError(f"arrays: {str(directory)!r} holds no data: expected {_expected()}")
    recordings = _joined(read, str(directory))
    return dataclasses.replace(recordings, targets=np.array(labels)[:, None], outputs=["class"])


def _joined(read: list[tuple[Place, Recordings]], directory: str) -> Recordings:
    first_path, first = read[0]
    parts = []
    for path, recordings in read:
        if recordings.features != first.features or recordings.outputs != first.outputs:
            raise UserError(
                f"arrays: {str(path)!r} has the features {some_of(recordings.features)} and targets "
                f"{some_of(recordings.outputs)}: "
                f"expected those of {str(first_path)!r}, {some_of(first.features)} and {some_of(first.outputs)}"
            )
        alone = len(recordings.lengths) == 1
        parts.append(
            dataclasses.replace(
                recordings, names=[path.stem] if alone else [f"{path.stem}/{name}" for name in recordings.names]
            )
        )
    targets = None
    if first.targets is not None:
        held = [part.targets for part in parts if part.targets is not None]
        steps = any(part.per_step for part in parts)
        single = all(len(part.lengths) == 1 for part in parts)
        if steps and single and all((values == values[0]).all() for values in held):
            held = [values[:1] for values in held]  # files with one sequence and one target each
        elif steps:
            pairs = zip(held, parts, strict=True)
            held = [values if part.per_step else np.repeat(values, part.lengths, axis=0) for values, part in pairs]
        targets = np.concatenate(held)
    return Recordings(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        targets,
        first.features,
        first.outputs,
        [name for part in parts for name in part.names],
        repr(directory),
    )
