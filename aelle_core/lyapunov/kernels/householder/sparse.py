"""J X where all matrices in J are sparse: entries that are zero are left out."""

import numpy as np

from aelle_core.lyapunov.kernels.householder.emitter import compiled
from aelle_core.lyapunov.kernels.householder.vectors import add_rows


@compiled
def multiply_sparse(jacobian, step, scaled, along, blocks, products):  # type: ignore[no-untyped-def]
    """products <- J X for tangents X in blocks, both (stripes, rows, stripe). Returns what J's Frobenius norm is at
    most, its terms' norms added up. `scaled` (entries,) and `along` (stripe,) are scratch."""
    products[:] = 0
    rows_scaled = jacobian.factor_positions.shape[0]
    norm = jacobian.ones[0] * 0
    for term in range(rows_scaled + jacobian.column_positions.shape[0]):
        squares = _scale(jacobian, step, term, rows_scaled, scaled)
        norm += np.sqrt(squares)
        by_columns = term >= rows_scaled
        place = jacobian.column_positions[term - rows_scaled] if by_columns else jacobian.factor_positions[term]
        _add_entries(jacobian, term, place, scaled, blocks, products)
    for term in range(jacobian.diagonal_positions.shape[0]):
        norm += np.sqrt(add_diagonal(jacobian, jacobian.diagonals[step, term], term, blocks, products))
    for term in range(jacobian.outer_positions.shape[0]):
        norm += _add_outer(jacobian, jacobian.rights[step, term], term, along, blocks, products)
    return norm


@compiled
def _scale(jacobian, step, term, rows_scaled, scaled):  # type: ignore[no-untyped-def]
    """scaled <- the entries of a term's matrix, times what scales its rows or columns. Returns the sum of squares."""
    units, starts, entries = jacobian.units, jacobian.starts, jacobian.entries
    total = jacobian.ones[0] * 0
    for row in range(units):
        first, stop = starts[term * units + row], starts[term * units + row + 1]
        for entry in range(first, stop):
            if term < rows_scaled:
                value = entries[entry] * jacobian.factors[step, term, row]
            else:
                value = entries[entry] * jacobian.column_factors[step, term - rows_scaled, jacobian.numbers[entry]]
            scaled[entry - starts[0]] = value
            total += value * value
    return total


@compiled
def _add_entries(jacobian, term, place, scaled, blocks, products):  # type: ignore[no-untyped-def]
    """Add the scaled entries of a term times X."""
    units, starts = jacobian.units, jacobian.starts
    rows, stripe = blocks.shape[1], blocks.shape[2]
    for number in range(blocks.shape[0]):
        origin = (number * rows + place[1] * units) * stripe
        for row in range(units):
            first, stop = starts[term * units + row], starts[term * units + row + 1]
            target = (number * rows + place[0] * units + row) * stripe
            add_rows(products, target, scaled, first - starts[0], jacobian.numbers, first, stop, blocks, origin, stripe)


@compiled
def add_diagonal(jacobian, diagonal, term, blocks, products):  # type: ignore[no-untyped-def]
    """Add diag(diagonal) X; diagonal (units,). Returns its sum of squares."""
    units, positions = jacobian.units, jacobian.diagonal_positions
    target, source = positions[term, 0] * units, positions[term, 1] * units
    total = jacobian.ones[0] * 0
    for row in range(units):
        factor = diagonal[row]
        total += factor * factor
        for number in range(blocks.shape[0]):
            for index in range(blocks.shape[2]):
                products[number, target + row, index] += factor * blocks[number, source + row, index]
    return total


@compiled
def _add_outer(jacobian, right, term, along, blocks, products):  # type: ignore[no-untyped-def]
    """Add left right^T X; right (units,). Returns its Frobenius norm."""
    units, left, positions = jacobian.units, jacobian.lefts[term], jacobian.outer_positions
    target, source = positions[term, 0] * units, positions[term, 1] * units
    for number in range(blocks.shape[0]):
        along[:] = 0
        for row in range(units):
            for index in range(along.shape[0]):
                along[index] += right[row] * blocks[number, source + row, index]
        for row in range(units):
            for index in range(along.shape[0]):
                products[number, target + row, index] += left[row] * along[index]
    lefts, rights = jacobian.ones[0] * 0, jacobian.ones[0] * 0
    for row in range(units):
        lefts += left[row] * left[row]
        rights += right[row] * right[row]
    return np.sqrt(lefts * rights)
