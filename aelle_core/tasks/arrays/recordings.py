"""Sequences with their targets as they were given, and the one file that they travel in."""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aelle_core.files.atomic import write_atomically
from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import Place, place, unreachable
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError


@dataclass(frozen=True)
class Recordings:
    """Sequences one after another.

    values    (rows, features) in float64       lengths  (sequences,): how many rows each sequence has
    targets   (sequences, outputs) or (rows, outputs), numbers or texts; None where there are none
    features, outputs, names: what the features, the targets and the sequences are called
    source    where they come from, for sentences

    Raises UserError where there are no rows, shapes do not fit together, or a value is missing.
    """

    values: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray | None = None
    features: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    source: str = "the arrays"

    def __post_init__(self) -> None:
        if not self.values.size or not len(self.lengths) or self.lengths.min() < 1:
            raise UserError(f"arrays: {self.source} have no rows or a sequence without any: expected some")
        if self.lengths.sum() != len(self.values):
            raise UserError(
                f"arrays: lengths of {self.source} add up to {self.lengths.sum()}: expected {len(self.values)}, the "
                "number of rows"
            )
        for label, made, count in (
            ("features", "feature", self.values.shape[1]),
            ("outputs", "target", 0 if self.targets is None else self.targets.shape[1]),
            ("names", "sequence", len(self.lengths)),
        ):
            if not getattr(self, label):
                object.__setattr__(self, label, [f"{made} {number}" for number in range(1, count + 1)])
        self._check_values()
        self._check_targets()

    def _check_values(self) -> None:
        missing = np.argwhere(~np.isfinite(self.values))
        if len(missing):
            row, column = missing[0]
            raise UserError(
                f"arrays: {self.features[column]!r} has no finite number in {self.row_name(int(row))} of {self.source} "
                f"({len(missing)} such in all): expected one in every row; fill them in or leave the column out"
            )

    def _check_targets(self) -> None:
        if self.targets is None:
            return
        if len(self.targets) not in (len(self.lengths), len(self.values)):
            raise UserError(
                f"arrays: {counted(len(self.targets), 'target')} of {self.source}: expected {len(self.lengths)}, one "
                f"for each sequence, or {len(self.values)}, one for each step"
            )
        if self.targets.dtype.kind == "f" and not np.isfinite(self.targets).all():
            row, column = np.argwhere(~np.isfinite(self.targets))[0]
            raise UserError(
                f"arrays: the target {self.outputs[column]!r} is missing in place {row + 1} of {self.source}: expected "
                "a finite number in each"
            )

    @property
    def per_step(self) -> bool:
        """Whether there is a target for every step."""
        return self.targets is not None and len(self.targets) != len(self.lengths)

    def row_name(self, row: int) -> str:
        """Return what a row is called in a sentence."""
        ends = np.cumsum(self.lengths)
        sequence = int(np.searchsorted(ends, row, side="right"))
        return f"step {row - int(ends[sequence] - self.lengths[sequence]) + 1} of sequence {self.names[sequence]!r}"

    def sequences(self) -> Iterator[slice]:
        """Yield the rows of each sequence."""
        ends = np.cumsum(self.lengths)
        return (slice(int(end - length), int(end)) for end, length in zip(ends, self.lengths, strict=True))

    def content(self) -> bytes:
        """Return the bytes of an .npz file that `from_arrays` reads back; the same recordings give the same bytes."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {
            "inputs": self.values,
            "lengths": self.lengths,
            **{name: np.array(getattr(self, name), dtype=str) for name in ("features", "outputs", "names")},
        }
        if self.targets is not None:
            arrays["targets"] = self.targets
        np.savez(buffer, **arrays)
        return buffer.getvalue()


def from_arrays(
    inputs: Any,
    targets: Any = None,
    lengths: Any = None,
    *,
    features: Sequence[str] = (),
    outputs: Sequence[str] = (),
    names: Sequence[str] = (),
    source: str = "the arrays",
) -> Recordings:
    """Return recordings from arrays.

    inputs   (sequences, time, features); (sequences, time, features) whose sequences end after `lengths` steps; (rows,
             features) or (rows,): one long series, or with `lengths` sequences one after another; or a list of (time,
             features), one for each sequence
    targets  one for each sequence: (sequences,) or (sequences, outputs); or one for each step, in the inputs' form

    Raises UserError where these do not fit together or are no numbers.
    """
    if isinstance(inputs, list | tuple) and np.ndim(inputs[0]) > 0:
        parts = [_columns(_numbers(sequence, source)) for sequence in inputs]
        lengths = np.array([len(part) for part in parts])
        if len({part.shape[1] for part in parts}) != 1:
            raise UserError(
                f"arrays: sequences of {source} differ in their number of features: expected the same in all"
            )
        if isinstance(targets, list | tuple) and [np.shape(wanted)[:1] for wanted in targets] == [
            (length,) for length in lengths
        ]:
            targets = np.concatenate([_columns(np.asarray(wanted)) for wanted in targets])
        inputs = np.concatenate(parts)
    values = _numbers(inputs, source)
    targets = None if targets is None else np.asarray(targets)
    if targets is not None and targets.dtype.kind == "O":
        targets = targets.astype(str)
    if values.ndim == 3:
        return _padded(values, targets, lengths, list(features), list(outputs), list(names), source)
    if values.ndim not in (1, 2):
        raise UserError(f"arrays: inputs of {source} have shape {values.shape}: expected (sequences, time, features)")
    values = _columns(values)
    held = np.array([len(values)]) if lengths is None else _whole(lengths, source)
    shaped = None if targets is None else _columns(targets)
    return Recordings(values, held, shaped, list(features), list(outputs), list(names), source)


def _padded(
    values: np.ndarray,
    targets: np.ndarray | None,
    lengths: Any,
    features: list[str],
    outputs: list[str],
    names: list[str],
    source: str,
) -> Recordings:
    count, time, width = values.shape
    held = np.full(count, time) if lengths is None else _whole(lengths, source)
    if held.shape != (count,) or held.min() < 1 or held.max() > time:
        raise UserError(f"arrays: lengths of {source}: expected {count} whole numbers from 1 to {time}")
    counted = np.arange(time) < held[:, None]
    if targets is not None:
        # (sequences, time) and (sequences, time, outputs) are targets of steps, unless their second number is no time.
        every = targets.shape[:2] == (count, time) and (targets.ndim == 3 or time > 1)
        targets = targets[counted] if every else targets
        targets = _columns(targets)
    return Recordings(values[counted].reshape(-1, width), held, targets, features, outputs, names, source)


def _columns(values: np.ndarray) -> np.ndarray:
    return values[:, None] if values.ndim == 1 else values


def _whole(lengths: Any, source: str) -> np.ndarray:
    counts = np.asarray(lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise UserError(f"arrays: lengths of {source}: expected whole numbers, the steps of each sequence")
    return counts.astype(np.int64)


def _numbers(values: Any, source: str) -> np.ndarray:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiub":
        raise UserError(f"arrays: inputs of {source} are of type {numbers.dtype}: expected numbers")
    return numbers.astype(np.float64)


def keep_arrays(
    inputs: Any,
    targets: Any = None,
    lengths: Any = None,
    *,
    features: Sequence[str] = (),
    outputs: Sequence[str] = (),
    names: Sequence[str] = (),
    at: "str | os.PathLike[str] | ObjectPath | None" = None,
) -> str:
    """Write arrays of a program or notebook into a file that every process finds, and return its address: what
    Study(task="arrays", task_options={"data": keep_arrays(x, y)}) takes.

    `at` is a directory or an address such as s3://bucket/prefix, by default the user's cache. The file is named by its
    content: the same arrays are written once. `inputs`, `targets` and `lengths` are as in `from_arrays`.

    Example:

        >>> import numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     address = keep_arrays(np.random.default_rng(0).random((20, 5, 2)), np.arange(20) % 2, at=directory)
        >>> address.endswith(".npz")
        True

    Raises UserError where the arrays do not fit together, and where the place cannot be written.
    """
    recordings = from_arrays(inputs, targets, lengths, features=features, outputs=outputs, names=names)
    content = recordings.content()
    if at is None:
        from platformdirs import user_cache_path

        at = user_cache_path("aelle") / "arrays"
    directory = place(at)
    path = directory / f"arrays-{hashlib.sha256(content).hexdigest()[:16]}.npz"
    try:
        write_once(path, content)
    except OSError as error:
        raise unreachable(path, error) from error
    return str(path.resolve() if isinstance(path, Path) else path)


def write_once(path: Place, content: bytes) -> None:
    """Write a file unless it is there."""
    if not path.exists():
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
