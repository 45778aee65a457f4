"""Independent random streams: one for each purpose of each network, the same on every machine."""

import zlib

import numpy as np
import torch


def stream_seed(seed: int, purpose: str, *numbers: int) -> int:
    """Return a 63-bit seed for `purpose` (and an epoch, an index, ...) under `seed`, independent of all others."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *numbers])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(seed: int, purpose: str, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator at the start of that stream: on the CPU, which gives the same numbers whatever trains on them,
    or where so many are drawn that a GPU would wait for them, on the device, whose numbers are its own."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose, *numbers))
