"""J Q for tangents that are kept as reflectors, straight from the structure of J."""

import numpy as np

from aelle_core.lyapunov.kernels.householder.emitter import PANEL, compiled
from aelle_core.lyapunov.kernels.householder.vectors import accumulate, multiply, reflect, transpose


@compiled
def _fill(block, order, first, stop, step, jacobian):  # type: ignore[no-untyped-def]
    """block (size, stripe) <- rows [first, stop) of the step's Jacobian, transposed, its columns in the given order."""
    units, matrices, factors, factor_positions, dense, dense_positions, diagonals, diagonal_positions, ones = jacobian
    stripe = block.shape[1]
    for line in range(order.shape[0]):
        part = order[line] // units
        column = order[line] - part * units
        for index in range(stripe):
            block[line, index] = 0
        for term in range(factor_positions.shape[0]):
            if factor_positions[term, 1] == part:
                top = factor_positions[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = (term * units + column) * units + low - top
                scale = (step * factor_positions.shape[0] + term) * units + low - top
                accumulate(block, line * stripe + low - first, matrices, source, factors, scale, high - low)
        for term in range(dense_positions.shape[0]):
            if dense_positions[term, 1] == part:
                top = dense_positions[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = ((step * dense_positions.shape[0] + term) * units + column) * units + low - top
                accumulate(block, line * stripe + low - first, dense, source, ones, 0, high - low)
        for term in range(diagonal_positions.shape[0]):
            row_of_term = diagonal_positions[term, 0] * units + column
            if diagonal_positions[term, 1] == part and first <= row_of_term < stop:
                block[line, row_of_term - first] += diagonals[step, term, column]


@compiled
def _next(random):  # type: ignore[no-untyped-def]
    """Knuth's 64-bit linear congruence."""
    return random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@compiled
def _disturb(blocks, rows, noise, random):  # type: ignore[no-untyped-def]
    """Disturb what is about to be orthogonalised by as much as orthogonalising it rounds. Returns the generator's next
    state.

    Reflectors mix an entry (i, j) with earlier columns: column k, brought to the length of column j, has an entry in
    row i that may be much larger. Numbers near 1 of a stretch of the noise, which starts at random, less 1, times the
    largest of these, are added.
    """
    count, _, stripe = blocks.shape
    so_far = np.zeros(rows, blocks.dtype)
    largest = np.zeros(stripe, blocks.dtype)
    for number in range(count):
        largest[:] = 0
        for row in range(rows):
            for column in range(stripe):
                largest[column] = max(largest[column], abs(blocks[number, row, column]))
        for row in range(rows):
            random = _next(random)
            shift = np.int64((random >> np.uint64(33)) % np.uint64(noise.shape[0] - stripe))
            share = so_far[row]
            for column in range(stripe):
                if largest[column] > 0:
                    share = max(share, abs(blocks[number, row, column]) / largest[column])
                    blocks[number, row, column] += (noise[shift + column] - 1) * (share * largest[column])
            so_far[row] = share
    return random


@compiled
def disturb_reflectors(v, y, noise, random):  # type: ignore[no-untyped-def]
    """Disturb v and y (panels, rows, PANEL) as rounding does when they are applied. Returns the next random number."""
    for panel in range(v.shape[0]):
        for row in range(v.shape[1]):
            random = _next(random)
            shift = np.int64((random >> np.uint64(33)) % np.uint64(noise.shape[0] - 2 * PANEL))
            for q in range(PANEL):
                v[panel, row, q] *= noise[shift + q]
                y[panel, row, q] *= noise[shift + PANEL + q]
    return random


@compiled
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


@compiled
def push_tangents(jacobian, step, size, k, v, y, order, block, blocks, leading, noise, random):  # type: ignore[no-untyped-def]
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
                multiply(products, at * stripe, leading, panel * size * PANEL, PANEL, block, stripe, size, stripe)
        else:
            for top in range(0, k, PANEL):
                reflect(block, top * stripe, stripe, v, y, (top // PANEL * size + top) * PANEL, size - top, stripe)
        for number in range(blocks.shape[0]):
            top = number * stripe
            source = products[top:] if few else block[top:]
            target = (number * rows + first) * stripe
            transpose(source, stripe, blocks, target, stripe, min(k - top, stripe), stop - first)
    if noise.shape[0]:
        random = _disturb(blocks, size, noise, random)
    return random


@compiled
def add_squares(block, rows, sums):  # type: ignore[no-untyped-def]
    """sums (columns,) += squares of each column's first `rows` entries; four rows at once spare loads of the sums."""
    even = rows // 4 * 4
    for row in range(0, even, 4):
        for column in range(sums.shape[0]):
            a, b = block[row, column], block[row + 1, column]
            c, d = block[row + 2, column], block[row + 3, column]
            sums[column] += (a * a + b * b) + (c * c + d * d)
    for row in range(even, rows):
        for column in range(sums.shape[0]):
            sums[column] += block[row, column] * block[row, column]


@compiled
def multiply_tangents(jacobian, step, size, dense_lines, block, blocks, products, noise, random):  # type: ignore[no-untyped-def]
    """products <- J X for tangents X in blocks. Columns of J from `dense_lines` on have nothing but diagonals in them.
    Returns the Frobenius norm of J, and the generator's next state."""
    _, _, _, _, _, _, diagonals, diagonal_positions, _ = jacobian
    units = jacobian[0]
    rows, stripe = block.shape
    natural = np.arange(dense_lines)
    squares = np.zeros(stripe, block.dtype)
    for first in range(0, size, stripe):
        stop = min(size, first + stripe)
        _fill(block, natural, first, stop, step, jacobian)
        add_squares(block, dense_lines, squares)
        for number in range(blocks.shape[0]):
            for top in range(0, stop - first, PANEL):
                origin = (number * rows + first + top) * stripe
                multiply(products, origin, block, top, stripe, blocks[number], stripe, dense_lines, stripe)
    total = squares.sum()
    for term in range(diagonal_positions.shape[0]):
        source, target = diagonal_positions[term, 1] * units, diagonal_positions[term, 0] * units
        if source >= dense_lines:
            for column in range(units):
                factor = diagonals[step, term, column]
                total += factor * factor
                for number in range(blocks.shape[0]):
                    for index in range(stripe):
                        products[number, target + column, index] += factor * blocks[number, source + column, index]
    if noise.shape[0]:
        random = _disturb(products, size, noise, random)
    return np.sqrt(total), random
