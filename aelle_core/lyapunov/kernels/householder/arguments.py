"""What the kernel works on, by name: arrays of all trajectories, and one thread's room.

Numba takes named tuples as it takes tuples. Their fields below are arrays of one dtype, float32 or float64, unless
another is named; `panels` are groups of PANEL tangents, `rows` the size rounded up to whole panels.
"""

from typing import NamedTuple

import numpy as np

from aelle_core.lyapunov.kernels.householder.emitter import PANEL, allocating
from aelle_core.lyapunov.kernels.householder.vectors import lanes_of


class Terms(NamedTuple):
    """The Jacobians of all trajectories in blocks of `units` rows, see aelle_core.lyapunov.kernels.jacobians, and what
    a readout adds to them, see aelle_core.lyapunov.kernels.readout."""

    units: int
    matrices: np.ndarray  # (networks, terms, units, units)
    factors: np.ndarray  # (trajectories, steps, terms, units)
    factor_positions: np.ndarray  # (terms, 2) int64: row and column of the term's block
    dense: np.ndarray  # (trajectories, steps, terms, units, units)
    dense_positions: np.ndarray  # (terms, 2) int64
    diagonals: np.ndarray  # (trajectories, steps, terms, units)
    diagonal_positions: np.ndarray  # (terms, 2) int64
    column_matrices: np.ndarray  # (networks, terms, units, units)
    column_factors: np.ndarray  # (trajectories, steps, terms, units)
    column_positions: np.ndarray  # (terms, 2) int64
    lefts: np.ndarray  # (networks, terms, units)
    rights: np.ndarray  # (trajectories, steps, terms, units)
    outer_positions: np.ndarray  # (terms, 2) int64
    starts: np.ndarray  # (networks, terms * units + 1) int64: where a row's entries begin; empty unless all are sparse
    numbers: np.ndarray  # (entries,) int64: columns of the entries of matrices, then of column_matrices
    entries: np.ndarray  # (entries,)
    ones: np.ndarray  # (units,)
    by_input: np.ndarray  # (trajectories, steps, features, inner size); without a readout, of no features
    weight: np.ndarray  # (networks, panels, units, PANEL): a readout's, its features in panels
    residual: np.ndarray  # (networks,)
    norm: np.ndarray  # (networks,): what the readout multiplies norms with, at most
    top: int  # the first row that the readout reads


class Numbers(NamedTuple):
    """Numbers that hold for all trajectories."""

    per_network: int  # trajectories of each network
    k: int  # tangents
    stripe: int  # tangents of a block
    height: int  # rows of J that are made at once
    dense_columns: int  # of J; those behind them have entries on diagonals of blocks alone
    entries: int  # of a network's sparse matrices, at most


class Reflectors(NamedTuple):
    """The tangents of all trajectories, as reflectors H = I - V Y^T behind an exchange of rows."""

    v: np.ndarray  # (trajectories, panels, size, PANEL)
    y: np.ndarray  # (trajectories, panels, size, PANEL): V T^T
    orders: np.ndarray  # (trajectories, size) int64: which row of J Q stands where
    labels: np.ndarray  # (trajectories, k) int64: which tangent each column is


class Record(NamedTuple):
    """What the caller wants to know of every step."""

    radii: (
        np.ndarray
    )  # (trajectories, steps, k): |r|, tangent by tangent; 1, 1, ..., all of them, of a shared factorisation
    lengths: np.ndarray  # (trajectories, steps, k): lengths of the columns of J Q; (0, steps, k) where not wanted


class Sharing(NamedTuple):
    """Which steps may share one factorisation."""

    wanted: np.ndarray  # (steps,) bool: whether |r| is wanted at the step's end
    singly: np.ndarray  # (trajectories, 2) int64: steps still to be made one by one, and as many after a failure
    most: np.ndarray  # (trajectories,) int64: steps that the next factorisation may have, at most
    losses: np.ndarray  # (trajectories,) float64: nats a step that rounding has lately gained on the least |r|
    calm: float  # units of the last place that rounding may change a logarithm by


class Disturbance(NamedTuple):
    """Numbers near 1 that stand for rounding in the disturbed copies of trajectories."""

    noise: np.ndarray  # (numbers,)
    disturbed: np.ndarray  # (trajectories,) bool
    seed: int


class Room(NamedTuple):
    """Scratch arrays of one thread."""

    block: np.ndarray  # (rows, height): some rows of J, transposed
    blocks: np.ndarray  # (stripes, rows, stripe): J Q
    kept: np.ndarray  # (stripes, rows, stripe): J Q before its factorisation, or J' (J Q)
    other: np.ndarray  # (stripes, rows, stripe): J'' (J' (J Q))
    leading: np.ndarray  # (panels and stripes, size, PANEL): Q and J Q where tangents are few, otherwise none
    compact: np.ndarray  # (PANEL + 1, PANEL): T^T of one panel
    pivots: np.ndarray  # (size,) int64
    line: np.ndarray  # (k,): |r| of the last factorisation
    longest: np.ndarray  # (k,): lengths of columns
    largest: np.ndarray  # (stripe,): the largest entry of each column of a block
    inverse: np.ndarray  # (stripe,): 1 / largest; 0 where that is next to nothing
    reached: np.ndarray  # (stripe,): the shares of one row, column by column
    shares: np.ndarray  # (rows,): the largest share of its column that a row's entries have had so far
    squares: np.ndarray  # (height,): sums of squares of the rows of J
    scaled: np.ndarray  # (entries,): entries of sparse matrices, scaled as a step does
    natural: np.ndarray  # (size,) int64: 0, 1, ...
    roots: np.ndarray  # (size,) int64: the part of the matrix that each row belongs to
    heads: np.ndarray  # (columns,) int64: and each column
    width: int  # lanes of a register


@allocating
def zeros(count, like):  # type: ignore[no-untyped-def]
    """Return `count` zeros, (count,), aligned to cache lines: rows of whole registers then never cross one."""
    room = np.zeros(count + 64, like.dtype)
    skip = (-room.ctypes.data) % 64 // like.itemsize
    return room[skip : skip + count]


@allocating
def make_room(size, k, stripe, height, entries, v):  # type: ignore[no-untyped-def]
    """Return the room of a thread that moves k tangents of `size` rows, in the dtype of v."""
    rows = (size + PANEL - 1) // PANEL * PANEL
    panels = (k + PANEL - 1) // PANEL
    stripes = (k + stripe - 1) // stripe
    # Few tangents: forming them and multiplying is cheaper than carrying all columns of J through reflections.
    few = 0 if 2 * k > size else panels + (panels * height + size - 1) // size
    return Room(
        zeros(rows * height, v).reshape(rows, height),
        zeros(stripes * rows * stripe, v).reshape(stripes, rows, stripe),
        zeros(stripes * rows * stripe, v).reshape(stripes, rows, stripe),
        zeros(stripes * rows * stripe, v).reshape(stripes, rows, stripe),
        zeros(few * size * PANEL, v).reshape(few, size, PANEL),
        zeros((PANEL + 1) * PANEL, v).reshape(PANEL + 1, PANEL),
        np.zeros(size, np.int64),
        np.zeros(k, v.dtype),
        np.zeros(k, v.dtype),
        zeros(stripe, v),
        zeros(stripe, v),
        zeros(stripe, v),
        zeros(rows, v),
        zeros(height, v),
        zeros(entries, v),
        np.arange(size),
        np.zeros(size, np.int64),
        np.zeros(stripes * stripe, np.int64),
        lanes_of(v),
    )
