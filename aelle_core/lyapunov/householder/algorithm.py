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

from aelle_core.lyapunov.householder import emitter, reflectors, vectors
from aelle_core.lyapunov.householder.emitter import PANEL
from aelle_core.lyapunov.householder.reflectors import combine, eliminate
from aelle_core.lyapunov.householder.vectors import (
    accumulate,
    exchange,
    lanes_of,
    project,
    reflect,
    transpose,
)

_LARGE_ENOUGH = 0.25  # of a column's largest entry: spares three exchanges of four, and rows grow little more

_compiled = njit(nogil=True, error_model="numpy", fastmath={"contract"})


@_compiled
def _fill(block, order, first, stop, step, jacobian):  # type: ignore[no-untyped-def]
    """block (size, stripe) <- rows [first, stop) of the step's Jacobian, transposed, its columns in the given order."""
    units, matrices, factors, factor_places, dense, dense_places, diagonals, diagonal_places, ones = jacobian
    stripe = block.shape[1]
    for line in range(order.shape[0]):
        part = order[line] // units
        column = order[line] - part * units
        for index in range(stripe):
            block[line, index] = 0
        for term in range(factor_places.shape[0]):
            if factor_places[term, 1] == part:
                top = factor_places[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = (term * units + column) * units + low - top
                scale = (step * factor_places.shape[0] + term) * units + low - top
                accumulate(block, line * stripe + low - first, matrices, source, factors, scale, high - low)
        for term in range(dense_places.shape[0]):
            if dense_places[term, 1] == part:
                top = dense_places[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = ((step * dense_places.shape[0] + term) * units + column) * units + low - top
                accumulate(block, line * stripe + low - first, dense, source, ones, 0, high - low)
        for term in range(diagonal_places.shape[0]):
            place = diagonal_places[term, 0] * units + column
            if diagonal_places[term, 1] == part and first <= place < stop:
                block[line, place - first] += diagonals[step, term, column]


@_compiled
def _pivot(panel, column, first, size):  # type: ignore[no-untyped-def]
    """The row, from `first` on, that is to be the pivot of a column, and the size of the column's largest entry: the
    row of that entry, or the first where it is large enough. Branches are few: they would be mispredicted."""
    zero = abs(panel[first, column]) * 0
    a, b = zero, zero
    for row in range(first, size - 1, 2):
        a = max(a, abs(panel[row, column]))
        b = max(b, abs(panel[row + 1, column]))
    largest = max(max(a, b), abs(panel[size - 1, column]))
    if abs(panel[first, column]) >= _LARGE_ENOUGH * largest:
        return first, largest
    for row in range(first, size):
        if abs(panel[row, column]) == largest:
            return row, largest
    return first, largest


@_compiled
def _factor_panel(panel, size, live, block, offset, v, y, pivots, order, radii, compact):  # type: ignore[no-untyped-def]
    """Factor the PANEL columns of the block at `offset`: reflectors into v[panel] and y[panel], |r| into radii. Only
    the first `live` columns count. Rows are exchanged in the block, in earlier reflectors and in the order."""
    top = panel * PANEL
    stripe = block.shape[1]
    mine = v[panel]
    for row in range(top, size):
        for q in range(PANEL):
            mine[row, q] = block[row, offset + q]
    compact[:] = 0
    for p in range(live):
        pivot = top + p
        best, largest = _pivot(mine, p, pivot, size)
        pivots[pivot] = best
        if largest == 0:  # a dead direction: the reflector is the identity
            radii[pivot] = 0
            mine[pivot:, p] = 0
            mine[pivot, p:] = 0
            continue
        if best != pivot:
            for each in range(panel + 1):
                at = each * size * PANEL
                exchange(v, at + pivot * PANEL, at + best * PANEL, PANEL)
                exchange(y, at + pivot * PANEL, at + best * PANEL, PANEL)
            rest = offset + PANEL
            exchange(block, pivot * stripe + rest, best * stripe + rest, stripe - rest)
            order[pivot], order[best] = order[best], order[pivot]
        small = largest < (1e-290 if mine.itemsize == 8 else 1e-30)  # its inverse would overflow
        boost = (2.0**200 if mine.itemsize == 8 else 2.0**80) if small else 1.0
        if small:
            for row in range(pivot, size):
                mine[row, p] *= boost
            largest *= boost
        radii[pivot] = eliminate(v, (panel * size + pivot) * PANEL, p, size - pivot, largest, compact) / boost
    mine[top:, live:] = 0
    combine(v, y, (panel * size + top) * PANEL, size - top, compact)


@_compiled
def _factor(blocks, size, k, v, y, pivots, order, radii, compact, lanes):  # type: ignore[no-untyped-def]
    """Orthogonalise blocks (stripes, size, stripe), k columns in all, left-looking: a stripe receives all that came
    before, then is factored panel by panel."""
    stripe = blocks.shape[2]
    for row in range(size):
        order[row] = row
    for number in range(blocks.shape[0]):
        block = blocks[number]
        done = number * stripe
        for pivot in range(done):
            best = pivots[pivot]
            if best != pivot:
                exchange(block, pivot * stripe, best * stripe, stripe)
        for top in range(0, done, PANEL):
            reflect(block, top * stripe, stripe, v, y, (top // PANEL * size + top) * PANEL, size - top, stripe)
        for offset in range(0, min(stripe, k - done), PANEL):
            top = done + offset
            panel = top // PANEL
            _factor_panel(panel, size, min(PANEL, k - top), block, offset, v, y, pivots, order, radii, compact)
            begin = (offset + PANEL) // lanes * lanes  # the panel's own columns may be spoilt: they are in v
            if begin < stripe:
                reflect(
                    block, top * stripe + begin, stripe, v, y, (panel * size + top) * PANEL, size - top, stripe - begin
                )


@_compiled
def _zeros(count, like):  # type: ignore[no-untyped-def]
    """That many zeros, aligned to cache lines: rows of whole registers then never cross one."""
    room = np.zeros(count + 64, like.dtype)
    skip = (-room.ctypes.data) % 64 // like.itemsize
    return room[skip : skip + count]


@_compiled
def _disturb(block, rows, noise, random):  # type: ignore[no-untyped-def]
    """Multiply each row by a stretch of the noise that starts at random. Returns the generator's next state (Knuth's
    64-bit linear congruence)."""
    stripe = block.shape[1]
    for row in range(rows):
        random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        shift = np.int64((random >> np.uint64(33)) % np.uint64(noise.shape[0] - stripe))
        for column in range(stripe):
            block[row, column] *= noise[shift + column]
    return random


@_compiled
def _form(size, k, v, y, block, formed):  # type: ignore[no-untyped-def]
    """formed (panels, size, PANEL) <- the k columns of H_1 ... H_k themselves, in the order of the exchanged rows."""
    stripe = block.shape[1]
    for first in range(0, k, stripe):
        stop = min(k, first + stripe)
        block[:] = 0
        for column in range(first, stop):
            block[column, column - first] = 1
        for panel in range((stop - 1) // PANEL, -1, -1):  # H is symmetric: V and Y change roles
            top = panel * PANEL
            reflect(block, top * stripe, stripe, y, v, (panel * size + top) * PANEL, size - top, stripe)
        for column in range(first, stop):
            for row in range(size):
                formed[column // PANEL, row, column % PANEL] = block[row, column - first]


@_compiled
def _push(jacobian, step, size, k, v, y, order, block, blocks, leading, noise, random):  # type: ignore[no-untyped-def]
    """blocks <- J Q for the tangents in v, y and order, stripe of rows by stripe of rows."""
    rows, stripe = block.shape
    few = leading.shape[0] > 0
    if few:
        formed = leading[: (k + PANEL - 1) // PANEL]
        _form(size, k, v, y, block, formed)
        products = leading[formed.shape[0] :].reshape(-1)[: formed.shape[0] * PANEL * stripe].reshape(-1, stripe)
    for first in range(0, size, stripe):
        stop = min(size, first + stripe)
        _fill(block, order, first, stop, step, jacobian)
        if few:
            for panel in range(formed.shape[0]):
                at = panel * PANEL
                project(block, stripe, leading, panel * size * PANEL, size, stripe, products[at : at + PANEL])
        else:
            for top in range(0, k, PANEL):
                reflect(block, top * stripe, stripe, v, y, (top // PANEL * size + top) * PANEL, size - top, stripe)
        for each in range(blocks.shape[0]):
            top = each * stripe
            source = products[top:] if few else block[top:]
            place = (each * rows + first) * stripe
            transpose(source, stripe, blocks, place, stripe, min(k - top, stripe), stop - first)
    if noise.shape[0]:
        for each in range(blocks.shape[0]):
            random = _disturb(blocks[each], size, noise, random)
    return random


@_compiled
def _dead_to_the_end(radii, columns, kept, blocks, size, moved):  # type: ignore[no-untyped-def]
    """Where a dead column (r = 0) stands before others that may live: move it, and its label in `columns`, to the end,
    fill the blocks again from what was kept, and say so. `moved` columns stand there already.

    A dead column has no direction: what is orthogonalised against one that was made up for it is spoilt. All behind it
    are as dead when the living have taken up every row that is not zero, as where units are at rest.
    """
    k, stripe = radii.shape[0], blocks.shape[2]
    first = 0
    while first < k and radii[first] != 0:
        first += 1
    if first >= k - 1 - moved:
        return False
    rows = 0
    for row in range(size):
        for column in range(k):
            if kept[column // stripe, row, column % stripe] != 0:
                rows += 1
                break
    if rows == first:
        return False
    label = columns[first]
    for column in range(first, k - 1):
        columns[column] = columns[column + 1]
    columns[k - 1] = label
    for column in range(k):
        place = column if column < first else (first if column == k - 1 else column + 1)
        blocks[column // stripe, :, column % stripe] = kept[place // stripe, :, place % stripe]
    kept[:] = blocks
    return True


@_compiled
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

    @njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
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
                random = _push(
                    jacobian, step, size, k, v[each], y[each], orders[each], block, blocks, leading, mine, random
                )
                kept[:] = blocks
                _factor(blocks, size, k, v[each], y[each], pivots, orders[each], line, compact, width)
                moved = 0
                while _dead_to_the_end(line, labels[each], kept, blocks, size, moved):
                    moved += 1
                    _factor(blocks, size, k, v[each], y[each], pivots, orders[each], line, compact, width)
                for column in range(k):
                    radii[each, step, labels[each, column]] = line[column]
                if lengths.shape[0]:
                    _lengths(kept, size, line)
                    for column in range(k):
                        lengths[each, step, labels[each, column]] = line[column]

    return advance


_SOURCES = (emitter, reflectors, vectors)
advance = _with_fingerprint(zlib.crc32(b"".join(Path(str(each.__file__)).read_bytes() for each in _SOURCES)))
