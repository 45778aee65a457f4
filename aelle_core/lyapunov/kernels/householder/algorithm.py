"""Row-pivoted Householder orthogonalisation whose Q is never formed.

Tangents are kept as the reflectors of the last factorisation, J_t Q_{t-1} = Q_t R_t with Q = P^T H_1 H_2 ... H_k, P the
row exchanges. The next step needs J Q = J P^T H_1 ... H_k, so reflectors go straight onto the next Jacobian: 10/3 N^3
operations a step, where forming Q and multiplying takes 14/3.

Before each reflector the largest entry of its column, or one not much smaller, is exchanged to the top. Rows that
saturation has scaled down by hundreds of orders of magnitude then keep their digits (Powell & Reid 1969; Cox & Higham,
Stability of Householder QR factorization for weighted least squares problems, 1998). PANEL reflectors are applied
together as I - V T V^T (Schreiber & Van Loan 1989), with Y = V T^T made once. Reflections act on blocks of `stripe`
columns, which stay in the cache; rows of blocks are contiguous, so that all inner loops run over whole registers.

Where nothing is ill-conditioned, tangents take two steps between factorisations: J' (J Q) = Q' R', and log |r| is the
sum of both steps'. Rounding then changes log |r| by about eps |J'| |J Q| / min |r|, with |J'| the root mean square of
its columns' lengths and |J Q| the longest column's. Where that is above CALM eps, 4e-9 nats, the two steps are made
again one by one, and so are the next two, or six, fourteen, ... up to PATIENCE after one failure upon another. Nor are
two steps tried where min |r| / max |r| of the last single one, squared, promises nothing.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from aelle_core.foundation import vector_instructions as vector_code
from aelle_core.lyapunov.kernels.householder import emitter, factor, push, reflectors, vectors
from aelle_core.lyapunov.kernels.householder.emitter import COMPILED, PANEL, compiled
from aelle_core.lyapunov.kernels.householder.factor import dead_to_the_end, factorise
from aelle_core.lyapunov.kernels.householder.kept import in_users_cache
from aelle_core.lyapunov.kernels.householder.push import (
    add_squares,
    disturb_reflectors,
    multiply_tangents,
    push_tangents,
)
from aelle_core.lyapunov.kernels.householder.vectors import lanes_of

CALM = 2e7
SMALLEST = 1e-200  # of |r| over two steps: far from underflow
PATIENCE = 64


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
        add_squares(blocks[each], size, lengths[each * stripe : each * stripe + count])
    for column in range(lengths.shape[0]):
        lengths[column] = np.sqrt(lengths[column])


def _with_fingerprint(fingerprint: int) -> Any:
    """The compiled entry point. It alone is cached, with all that it calls: numba's cache does not see a
    change of another file, but what a closure holds it does."""

    @njit(cache=True, **COMPILED)
    def advance(  # type: ignore[no-untyped-def]
        first,
        stop,
        per_network,
        jacobians,
        k,
        v,
        y,
        orders,
        labels,
        radii,
        lengths,
        told,
        singly,
        hopes,
        noise,
        disturbed,
        seed,
        stripe,
        dense_lines,
    ):
        """Move the tangents of trajectories [first, stop) along all steps of their Jacobians."""
        units, matrices, factors, factor_positions, dense, dense_positions, diagonals, diagonal_positions, ones = (
            jacobians
        )
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
        longest = np.zeros(k, v.dtype)
        other_v, other_y = _zeros(v[0].size, v).reshape(v[0].shape), _zeros(v[0].size, v).reshape(v[0].shape)
        other_order = np.zeros(size, np.int64)
        for each in range(first, stop):
            jacobian = (
                units,
                matrices[each // per_network],
                factors[each],
                factor_positions,
                dense[each],
                dense_positions,
                diagonals[each],
                diagonal_positions,
                ones,
            )
            random = np.uint64(seed) * np.uint64(6364136223846793005) + np.uint64(each)
            mine = noise if disturbed[each] else noise[:0]
            now_v, now_y, now_order = v[each], y[each], orders[each]
            next_v, next_y, next_order = other_v, other_y, other_order
            elsewhere = False
            step = 0
            while step < steps:
                random = push_tangents(
                    jacobian, step, size, k, now_v, now_y, now_order, block, blocks, leading, mine, random
                )
                if singly[each, 0] > 0:
                    singly[each, 0] -= 1
                elif step % 2 == 0 and step + 1 < steps and not told[step] and hopes[each] ** 2 * CALM >= 1:
                    _lengths(blocks, size, longest)
                    norm, after = multiply_tangents(
                        jacobian, step + 1, size, dense_lines, block, blocks, kept, mine, random
                    )
                    bound = norm / np.sqrt(size) * longest.max()
                    factorise(kept, size, k, next_v, next_y, pivots, next_order, line, compact, width)
                    if line.min() * CALM >= bound and line.min() > SMALLEST:
                        random = after
                        now_v, next_v = next_v, now_v
                        now_y, next_y = next_y, now_y
                        now_order, next_order = next_order, now_order
                        elsewhere = not elsewhere
                        singly[each, 1] = 0
                        if mine.shape[0]:
                            random = disturb_reflectors(now_v, now_y, mine, random)
                        for column in range(k):
                            radii[each, step, labels[each, column]] = 1
                            radii[each, step + 1, labels[each, column]] = line[column]
                        step += 2
                        continue
                    singly[each, 1] = min(2 * singly[each, 1] + 2, PATIENCE)
                    singly[each, 0] = singly[each, 1]
                kept[:] = blocks
                factorise(blocks, size, k, now_v, now_y, pivots, now_order, line, compact, width)
                moved = 0
                while dead_to_the_end(line, labels[each], kept, blocks, size, moved):
                    moved += 1
                    factorise(blocks, size, k, now_v, now_y, pivots, now_order, line, compact, width)
                if mine.shape[0]:
                    random = disturb_reflectors(now_v, now_y, mine, random)
                hopes[each] = line.min() / line.max()
                for column in range(k):
                    radii[each, step, labels[each, column]] = line[column]
                if lengths.shape[0]:
                    _lengths(kept, size, line)
                    for column in range(k):
                        lengths[each, step, labels[each, column]] = line[column]
                step += 1
            if elsewhere:
                v[each] = now_v
                y[each] = now_y
                orders[each] = now_order

    return advance


_SOURCES = (vector_code, emitter, factor, push, reflectors, vectors)
with in_users_cache():
    advance = _with_fingerprint(zlib.crc32(b"".join(Path(str(each.__file__)).read_bytes() for each in _SOURCES)))
