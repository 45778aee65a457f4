"""J Q for tangents that are kept as reflectors, straight from the structure of J."""

import numpy as np

from aelle_core.lyapunov.kernels.householder.coupling import in_parts
from aelle_core.lyapunov.kernels.householder.emitter import PANEL, compiled
from aelle_core.lyapunov.kernels.householder.sparse import add_diagonal, multiply_sparse
from aelle_core.lyapunov.kernels.householder.vectors import accumulate, multiply, reflect, transpose


@compiled
def _add_scaled(line, first, stop, top, scale, source):  # type: ignore[no-untyped-def]
    """Add scale times the source (units,), which stands at row `top`, to a line that holds rows [first, stop)."""
    for row in range(max(first, top), min(stop, top + source.shape[0])):
        line[row - first] += scale * source[row - top]


@compiled
def _fill(block, order, first, stop, step, jacobian):  # type: ignore[no-untyped-def]
    """block (size, height) <- rows [first, stop) of the step's Jacobian, before its readout, transposed, its columns in
    the given order."""
    units, matrices, factors, factor_positions, dense, dense_positions, diagonals, diagonal_positions = jacobian[:8]
    ones, by_input = jacobian.ones, jacobian.by_input
    height, inner = block.shape[1], by_input.shape[2]
    for line in range(order.shape[0]):
        part = order[line] // units
        column = order[line] - part * units
        for index in range(height):
            block[line, index] = 0
        if order[line] >= inner:
            feature = order[line] - inner
            for row in range(first, min(stop, inner)):
                block[line, row - first] = by_input[step, feature, row]
            if first <= order[line] < stop:
                block[line, order[line] - first] = jacobian.residual
            continue
        for term in range(factor_positions.shape[0]):
            if factor_positions[term, 1] == part:
                top = factor_positions[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = (term * units + column) * units + low - top
                scale = (step * factor_positions.shape[0] + term) * units + low - top
                accumulate(block, line * height + low - first, matrices, source, factors, scale, high - low)
        for term in range(dense_positions.shape[0]):
            if dense_positions[term, 1] == part:
                top = dense_positions[term, 0] * units
                low, high = max(first, top), min(stop, top + units)
                source = ((step * dense_positions.shape[0] + term) * units + column) * units + low - top
                accumulate(block, line * height + low - first, dense, source, ones, 0, high - low)
        for term in range(diagonal_positions.shape[0]):
            row_of_term = diagonal_positions[term, 0] * units + column
            if diagonal_positions[term, 1] == part and first <= row_of_term < stop:
                block[line, row_of_term - first] += diagonals[step, term, column]
        for term in range(jacobian.column_positions.shape[0]):
            if jacobian.column_positions[term, 1] == part:
                top = jacobian.column_positions[term, 0] * units
                scale = jacobian.column_factors[step, term, column]
                _add_scaled(block[line], first, stop, top, scale, jacobian.column_matrices[term, column])
        for term in range(jacobian.outer_positions.shape[0]):
            if jacobian.outer_positions[term, 1] == part:
                top = jacobian.outer_positions[term, 0] * units
                _add_scaled(block[line], first, stop, top, jacobian.rights[step, term, column], jacobian.lefts[term])


@compiled
def _read_out(products, block, jacobian):  # type: ignore[no-untyped-def]
    """Add W times the rows that are read to the readout's rows of products (stripes, rows, stripe). What stands in
    block (rows, height) is lost."""
    weight, stripe = jacobian.weight, products.shape[2]
    features, first = jacobian.by_input.shape[1], jacobian.by_input.shape[2]
    panels, units = weight.shape[0], weight.shape[1]
    read = block.reshape(-1)[: PANEL * stripe].reshape(PANEL, stripe)
    for number in range(products.shape[0]):
        for panel in range(panels):
            hidden = products[number, jacobian.top :]
            multiply(read, 0, weight, panel * units * PANEL, PANEL, hidden, stripe, units, stripe)
            for feature in range(panel * PANEL, min(features, (panel + 1) * PANEL)):
                for column in range(stripe):
                    products[number, first + feature, column] += read[feature - panel * PANEL, column]


@compiled
def _next(random):  # type: ignore[no-untyped-def]
    """Knuth's 64-bit linear congruence."""
    return random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@compiled
def _disturb(blocks, rows, room, noise, random):  # type: ignore[no-untyped-def]
    """Disturb what is about to be orthogonalised by as much as orthogonalising it rounds. Returns the generator's next
    state.

    Reflectors mix an entry (i, j) with earlier columns: column k, brought to the length of column j, has an entry in
    row i that may be much larger. Numbers near 1 of a stretch of the noise, which starts at random, less 1, times the
    largest of these, are added. Rows and columns that nothing couples do not mix by rounding.
    """
    count, _, stripe = blocks.shape
    so_far, largest, inverse, reached = room.shares, room.largest, room.inverse, room.reached
    roots, heads = room.roots, room.heads
    apart = in_parts(blocks, rows, roots, heads)
    so_far[:] = 0
    for number in range(count):
        largest[:] = 0
        for row in range(rows):
            for column in range(stripe):
                entry = abs(blocks[number, row, column])
                largest[column] = entry if entry > largest[column] else largest[column]  # max() would look for NaN
        for column in range(stripe):
            inverse[column] = 1 / largest[column] if largest[column] > 1e-290 else 0  # 1 / it would overflow
        for row in range(rows):
            random = _next(random)
            shift = np.int64((random >> np.uint64(33)) % np.uint64(noise.shape[0] - stripe))
            share = so_far[row]
            for column in range(stripe):
                entry = abs(blocks[number, row, column]) * inverse[column]
                share = entry if entry > share else share
                reached[column] = share
            so_far[row] = share
            for column in range(stripe if apart else 0):
                if roots[row] != heads[number * stripe + column]:
                    reached[column] = 0
            for column in range(stripe):
                blocks[number, row, column] += (noise[shift + column] - 1) * (reached[column] * largest[column])
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
        wide = min(stripe, (stop - first + PANEL - 1) // PANEL * PANEL)
        block[:] = 0
        for column in range(first, stop):
            block[column, column - first] = 1
        for panel in range((stop - 1) // PANEL, -1, -1):  # H is symmetric: V and Y change roles
            top = panel * PANEL
            reflect(block, top * stripe, stripe, y, v, (panel * size + top) * PANEL, size - top, wide)
        for column in range(first, stop):
            for row in range(size):
                formed[column // PANEL, row, column % PANEL] = block[row, column - first]


@compiled
def push_tangents(jacobian, step, size, k, v, y, order, room, noise, random):  # type: ignore[no-untyped-def]
    """room.blocks <- J Q for the tangents in v, y and order, some rows of J after the other."""
    block, blocks, leading = room.block, room.blocks, room.leading
    rows, height = block.shape
    stripe = blocks.shape[2]
    few = leading.shape[0] > 0
    if few:
        formed = leading[: (k + PANEL - 1) // PANEL]
        _form(size, k, v, y, block, formed)
        products = leading[formed.shape[0] :].reshape(-1)[: formed.shape[0] * PANEL * height].reshape(-1, height)
    for first in range(0, size, height):
        stop = min(size, first + height)
        _fill(block, order, first, stop, step, jacobian)
        if few:
            for panel in range(formed.shape[0]):
                at = panel * PANEL
                multiply(products, at * height, leading, panel * size * PANEL, PANEL, block, height, size, height)
        else:
            for top in range(0, k, PANEL):
                reflect(block, top * height, height, v, y, (top // PANEL * size + top) * PANEL, size - top, height)
        for number in range(blocks.shape[0]):
            top = number * stripe
            source = products[top:] if few else block[top:]
            target = (number * rows + first) * stripe
            transpose(source, height, blocks, target, stripe, min(k - top, stripe), stop - first)
    _read_out(blocks, block, jacobian)
    if noise.shape[0]:
        random = _disturb(blocks, size, room, noise, random)
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
def _multiply_filled(jacobian, step, size, dense_lines, room, blocks, products):  # type: ignore[no-untyped-def]
    """products <- J X, by some rows of J after the other, before the readout. Returns J's Frobenius norm."""
    block, diagonal_positions = room.block, jacobian.diagonal_positions
    rows, height = block.shape
    stripe = blocks.shape[2]
    natural, squares = room.natural[:dense_lines], room.squares
    squares[:] = 0
    for first in range(0, size, height):
        stop = min(size, first + height)
        _fill(block, natural, first, stop, step, jacobian)
        add_squares(block, dense_lines, squares)
        for number in range(blocks.shape[0]):
            for top in range(0, stop - first, PANEL):
                origin = (number * rows + first + top) * stripe
                multiply(products, origin, block, top, height, blocks[number], stripe, dense_lines, stripe)
    total = squares[0]
    for index in range(1, height):
        total += squares[index]
    for term in range(diagonal_positions.shape[0]):
        if diagonal_positions[term, 1] * jacobian.units >= dense_lines:
            total += add_diagonal(jacobian, jacobian.diagonals[step, term], term, blocks, products)
    return np.sqrt(total)


@compiled
def multiply_tangents(jacobian, step, size, dense_lines, room, blocks, products, noise, random):  # type: ignore[no-untyped-def]
    """products <- J X for tangents X in blocks, both (stripes, rows, stripe). Columns of J from `dense_lines` on have
    nothing but diagonals in them. Returns the Frobenius norm of J, or a bound of it where there is a readout, and the
    generator's next state."""
    if jacobian.starts.shape[0]:
        norm = multiply_sparse(jacobian, step, room.scaled, room.reached, blocks, products)
    else:
        norm = _multiply_filled(jacobian, step, size, dense_lines, room, blocks, products)
    _read_out(products, room.block, jacobian)
    if noise.shape[0]:
        random = _disturb(products, size, room, noise, random)
    return norm * jacobian.norm, random
