"""Digests of columns, for ranges of rows: they depend on the values, not on how Arrow holds or encodes them."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

_BYTES = 4  # against accidents: one in four thousand million goes unnoticed
_Level = tuple[np.ndarray | None, np.ndarray]
"""Where each row begins in an array (None: row i is at i), and the array."""


class ColumnDigest:
    """The digest of one column whose rows are handed over piece by piece."""

    def __init__(self) -> None:
        self._levels: list[blake2b] = []

    def add(self, column: pa.ChunkedArray) -> None:
        """Take the next rows."""
        for chunk in filter(len, column.chunks):
            levels = list(_levels(chunk))
            self._levels = self._levels or [blake2b(digest_size=16) for _ in levels]
            for taken, (bounds, data) in zip(self._levels, levels, strict=True):
                _take(taken, bounds, data, 0, len(chunk))

    def text(self) -> str:
        """Return the digest of all rows so far, in hexadecimal."""
        return _text(self._levels)


def range_digests(column: pa.Array, lengths: Sequence[int]) -> list[str]:
    """Return the digest of each of consecutive ranges of rows, with these lengths: what ColumnDigest gives for each."""
    levels = list(_levels(column))
    digests, start = [], 0
    for length in lengths:
        parts = []
        if length:
            for bounds, data in levels:
                parts.append(part := blake2b(digest_size=16))
                _take(part, bounds, data, start, start + length)
        digests.append(_text(parts))
        start += length
    return digests


def joined(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [_empty(column.type)])


def _empty(kind: pa.DataType) -> pa.Array:
    return pa.array([], kind)


def _text(levels: "Sequence[blake2b]") -> str:
    whole = blake2b(digest_size=_BYTES)
    for level in levels:
        whole.update(level.digest())
    return whole.hexdigest()


def _take(taken: blake2b, bounds: np.ndarray | None, data: np.ndarray, start: int, stop: int) -> None:
    if bounds is not None:
        start, stop = int(bounds[start]), int(bounds[stop])
    taken.update(data[start:stop])  # type: ignore[arg-type]  # a contiguous array is a buffer


def _levels(array: pa.Array) -> Iterator[_Level]:
    """All that an array says, as flat arrays: which rows are there, how long each is, and the values."""
    yield None, np.ascontiguousarray(array.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_map(array.type) or pa.types.is_list(array.type):
        offsets = array.offsets.to_numpy()
        yield None, np.diff(offsets)
        bounds, first, size = offsets - offsets[0], int(offsets[0]), int(offsets[-1] - offsets[0])
        children = (array.keys, array.items) if pa.types.is_map(array.type) else (array.values,)
        for child in children:
            for inner, data in _levels(child.slice(first, size)):
                yield (bounds if inner is None else inner[bounds]), data
    elif pa.types.is_string(array.type):
        filled = array.fill_null("")
        _, offset_buffer, content = filled.buffers()
        offsets = np.frombuffer(offset_buffer, np.int32)[filled.offset : filled.offset + len(filled) + 1]
        yield None, np.diff(offsets)
        text = np.frombuffer(content, np.uint8) if content is not None else np.zeros(0, np.uint8)
        yield offsets, text
    else:
        yield None, np.ascontiguousarray(array.fill_null(0).to_numpy(zero_copy_only=False))
