"""What an .npy file declares, held against its size before anything is allocated."""

import math
import os
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy


def check_size(file: BinaryIO) -> None:
    """Raise ValueError where an .npy file, open at its start, declares more numbers than it holds.

    What NumPy finds wrong in a header is passed on.
    """
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, kind = read(file)
    declared = math.prod(shape) * np.dtype(kind).itemsize
    follows = os.fstat(file.fileno()).st_size - file.tell()
    if not kind.hasobject and (any(size < 0 for size in shape) or declared > follows):
        raise ValueError(f"its header declares {declared} bytes for shape {shape}, and {follows} follow")
