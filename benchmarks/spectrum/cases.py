"""Which networks are measured: cells, sizes, weights, inputs."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aelle_core.cells import Network, cells, get_cell
from aelle_core.foundation.random_streams import generator

Kind = Literal["full", "hidden"]

SEED = 0
PAPER_CELLS = ("rnn", "gru", "lstm", "asrnn", "cornn", "lipschitz", "noisy", "lem")
FEATURES = 28  # of an input: rows of MNIST
SEQUENCES = 15  # the paper's


@dataclass(frozen=True)
class Case:
    """A cell of `units` units and whose Jacobian is asked for: of the whole state, or of the hidden state alone."""

    cell: str
    units: int
    kind: Kind

    @property
    def parts(self) -> tuple[str, ...]:
        """The state parts of the tangent space."""
        every = cells[self.cell].parts
        return every[:1] if self.kind == "hidden" else every

    @property
    def size(self) -> int:
        """Dimensions of the tangent space."""
        return self.units * len(self.parts)

    @property
    def operations(self) -> float:
        """Floating-point operations our kernel needs for a step of one sequence: 2 size^3 for reflectors onto the next
        Jacobian, 4/3 size^3 to factor; making the Jacobian is not counted, nor that calm steps share a
        factorisation, nor that zeros of sparse matrices are left out."""
        return 10 / 3 * self.size**3


@dataclass(frozen=True)
class Lengths:
    """Steps and sequences of one timed run at one size: long enough for a steady time, short enough for ten minutes in
    all. Times are divided by both. `wide` is for the whole state of a cell with two parts, (2N, 2N) matrices. At large
    N, where the time per sequence does not depend on their number, some runs take fewer sequences and more steps."""

    ours: int
    published: int
    autodiff: int
    ours_wide: int
    autodiff_wide: int
    autodiff_sequences: int = SEQUENCES
    ours_wide_sequences: int = SEQUENCES


LENGTHS = {
    16: Lengths(28, 28, 28, 28, 28),
    32: Lengths(28, 28, 14, 28, 14),
    64: Lengths(28, 14, 14, 28, 4),
    128: Lengths(28, 4, 4, 16, 2),
    256: Lengths(16, 2, 2, 16, 1, 4, 4),
    512: Lengths(16, 1, 1, 8, 1, 2, 4),
}


def measured_at(cell: str, units: int) -> bool:
    """`noisy` has no noise in its spectrum and is `lipschitz` then: its larger sizes would show the same once more."""
    return cell != "noisy" or units <= 64


def kinds(cell: str) -> tuple[Kind, ...]:
    """The spectra that are measured for a cell: of the whole state, and for lstm of the hidden state too, which is what
    the published way computes."""
    return ("hidden", "full") if cell == "lstm" else ("full",)


def draw_network(
    cell: str, units: int, *, scale: float | None = None, gain: float = 1.0, features: int = FEATURES, seed: int = SEED
) -> Network:
    """Weights U(-scale, scale) in float64, by default with sqrt(3 / N): recurrent matrices then have a spectral radius
    of about 1. All matrices are multiplied by `gain`, biases are not."""
    made = get_cell(cell, features, units)
    drawn = made.initialise(generator(seed, "weights"), math.sqrt(3 / units) if scale is None else scale)
    return Network(made, {name: value.double() * (gain if value.dim() > 1 else 1.0) for name, value in drawn.items()})


def draw_inputs(sequences: int, steps: int, features: int = FEATURES, seed: int = SEED) -> Tensor:
    """Standard normals (sequences, steps, features), float64."""
    return torch.randn(sequences, steps, features, generator=generator(seed, "test"), dtype=torch.float64)
