"""Which rows and columns of a matrix hang together: factorising it mixes no others, not even by rounding."""

from aelle_core.lyapunov.kernels.householder.emitter import compiled


@compiled
def _root(roots, row):  # type: ignore[no-untyped-def]
    while roots[row] != row:
        roots[row] = roots[roots[row]]
        row = roots[row]
    return row


@compiled
def in_parts(blocks, rows, roots, heads):  # type: ignore[no-untyped-def]
    """Whether the matrix in blocks (stripes, rows, stripe) falls into parts without an entry between them.

    Then roots (rows,) and heads (columns,) name the part of each row and column. An entry that is not zero joins its
    row with its column's others.
    """
    full = True
    for row in range(rows):
        full = full and blocks[0, row, 0] != 0
    if full:
        return False
    stripe = blocks.shape[2]
    for row in range(rows):
        roots[row] = row
    heads[:] = -1
    for number in range(blocks.shape[0]):
        for row in range(rows):
            for column in range(stripe):
                if blocks[number, row, column] != 0:
                    place = number * stripe + column
                    if heads[place] < 0:
                        heads[place] = row
                    roots[_root(roots, row)] = _root(roots, heads[place])
    for row in range(rows):
        roots[row] = _root(roots, row)
    for place in range(heads.shape[0]):
        if heads[place] >= 0:
            heads[place] = roots[heads[place]]
    return True
