"""Reading IDX files, the format MNIST is distributed in, with errors that name the file."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from aelle_core.files.places import check_is_file
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4


def find_idx(directory: Path, name: str) -> Path:
    """`name` or `name`.gz in `directory`. Raises UserError that says what was looked for."""
    for candidate in (directory / name, directory / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise UserError(f"no {name} or {name}.gz in {str(directory)!r}: expected the four IDX files of MNIST there")


def read_idx(path: Path) -> np.ndarray:
    """Return an array of unsigned bytes, of any shape, from an IDX file, gzipped or not.

    Raises UserError naming the file when it is no IDX file, holds another type, or is truncated.
    """
    check_is_file(path, "an IDX file")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}; expected a complete gzipped IDX file") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise UserError(f"{str(path)!r} begins with {content[:4].hex() or 'nothing'}: expected an IDX file (0000....)")
    kind, dimensions = content[2], content[3]
    if kind != _UNSIGNED_BYTE:
        raise UserError(f"{str(path)!r} holds IDX type 0x{kind:02x}: expected unsigned bytes (0x08)")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise UserError(f"{str(path)!r} has {counted(dimensions, 'dimension')}: expected 1 to {_MOST_DIMENSIONS}")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{str(path)!r} ends within its header: expected {header} bytes, found {len(content)}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise UserError(
            f"{str(path)!r} holds {counted(len(content) - header, 'byte')} of data: its header of shape {shape} "
            f"expects {math.prod(shape)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
