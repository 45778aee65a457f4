"""Row-pivoted Householder orthogonalisation whose Q is never formed.

Tangents are kept as the reflectors of the last factorisation, J_t Q_{t-1} = Q_t R_t with Q = P^T H_1 H_2 ... H_k, P the
row exchanges. The next step needs J Q = J P^T H_1 ... H_k, so reflectors go straight onto the next Jacobian: 10/3 N^3
operations a step, where forming Q and multiplying takes 14/3.

Before each reflector the largest entry of its column, or one not much smaller, is exchanged to the top. Rows that
saturation has scaled down by hundreds of orders of magnitude then keep their digits (Powell & Reid 1969; Cox & Higham,
Stability of Householder QR factorization for weighted least squares problems, 1998). PANEL reflectors are applied
together as I - V T V^T (Schreiber & Van Loan 1989), with Y = V T^T made once. Reflections act on blocks of `stripe`
columns, which stay in the cache; rows of blocks are contiguous, so that all inner loops run over whole registers.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from aelle_core.lyapunov.householder import emitter, factor, push, reflectors, vectors
from aelle_core.lyapunov.householder.emitter import COMPILED, PANEL, compiled
from aelle_core.lyapunov.householder.factor import dead_to_the_end, factorise
from aelle_core.lyapunov.householder.push import push_tangents
from aelle_core.lyapunov.householder.vectors import lanes_of


@compiled
def _zeros(count, like):  # type: ignore[no-untyped-def]
    """That many zeros, aligned to cache lines: rows of whole registers then never cross one."""
    room = np.zeros(count + 64, like.dtype)
    skip = (-room.ctypes.data) % 64 // like.itemsize
    return room[skip : skip + count]


@compiled
def _lengths(blocks, size, lengths):  # type: ignore[no-untyped-def]
    """lengths (k,) <- the columns' Euclidean lengths."""
    stripe = blocks.shape[2]
    lengths[:] = 0
    for each in range(blocks.shape[0]):
        count = min(stripe, lengths.shape[0] - each * stripe)
        for row in range(size):
            for column in range(count):
                lengths[each * stripe + column] += blocks[each, row, column] * blocks[each, row, column]
    for column in range(lengths.shape[0]):
        lengths[column] = np.sqrt(lengths[column])


def _with_fingerprint(fingerprint: int) -> Any:
    """The compiled entry point. It alone is cached, with all that it calls: numba's cache does not see a
    change of another file, but what a closure holds it does."""

    @njit(cache=True, **COMPILED)
    def advance(  # type: ignore[no-untyped-def]
        first, stop, per_network, jacobians, k, v, y, orders, labels, radii, lengths, noise, disturbed, seed, stripe
    ):
        """Move the tangents of trajectories [first, stop) along all steps of their Jacobians."""
        units, matrices, factors, factor_places, dense, dense_places, diagonals, diagonal_places, ones = jacobians
        if fingerprint < 0:
            return
        steps = radii.shape[1]
        size = orders.shape[1]
        rows = (size + PANEL - 1) // PANEL * PANEL
        panels = (k + PANEL - 1) // PANEL
        width = lanes_of(v)
        blocks = _zeros((k + stripe - 1) // stripe * rows * stripe, v).reshape(-1, rows, stripe)
        block = _zeros(rows * stripe, v).reshape(rows, stripe)
        compact = _zeros((PANEL + 1) * PANEL, v).reshape(-1, PANEL)
        # Few tangents: forming them and multiplying is cheaper than carrying all columns of J through reflections.
        room = 0 if 2 * k > size else panels + (panels * stripe + size - 1) // size
        leading = _zeros(room * size * PANEL, v).reshape(room, size, PANEL)
        kept = _zeros(blocks.size, v).reshape(blocks.shape)
        pivots = np.zeros(size, np.int64)
        line = np.zeros(k, v.dtype)
        for each in range(first, stop):
            jacobian = (
                units,
                matrices[each // per_network],
                factors[each],
                factor_places,
                dense[each],
                dense_places,
                diagonals[each],
                diagonal_places,
                ones,
            )
            random = np.uint64(seed) * np.uint64(6364136223846793005) + np.uint64(each)
            mine = noise if disturbed[each] else noise[:0]
            for step in range(steps):
                random = push_tangents(
                    jacobian, step, size, k, v[each], y[each], orders[each], block, blocks, leading, mine, random
                )
                kept[:] = blocks
                factorise(blocks, size, k, v[each], y[each], pivots, orders[each], line, compact, width)
                moved = 0
                while dead_to_the_end(line, labels[each], kept, blocks, size, moved):
                    moved += 1
                    factorise(blocks, size, k, v[each], y[each], pivots, orders[each], line, compact, width)
                for column in range(k):
                    radii[each, step, labels[each, column]] = line[column]
                if lengths.shape[0]:
                    _lengths(kept, size, line)
                    for column in range(k):
                        lengths[each, step, labels[each, column]] = line[column]

    return advance


_SOURCES = (emitter, factor, push, reflectors, vectors)
advance = _with_fingerprint(zlib.crc32(b"".join(Path(str(each.__file__)).read_bytes() for each in _SOURCES)))
