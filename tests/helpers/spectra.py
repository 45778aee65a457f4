"""Packs made of single networks, and spectra held against each other."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from aelle_core import LyapunovSpectrum


def stacked(parameters: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the parameters of a pack, (networks, ...) by name, from those of its networks."""
    return {name: torch.stack([own[name] for own in parameters]) for name in parameters[0]}


def assert_same(spectrum: LyapunovSpectrum, expected: LyapunovSpectrum, tolerance: float = 0.0) -> None:
    """The same exponents of every sequence, within `tolerance` nats per step; to the last bit also the same marks of
    rounding, where it was checked."""
    np.testing.assert_allclose(spectrum.per_sequence, expected.per_sequence, rtol=0, atol=tolerance)
    if tolerance == 0.0 and spectrum.rounding_error is not None:
        np.testing.assert_array_equal(spectrum.resolved, expected.resolved)
