"""A row-pivoted Householder factorisation, panel by panel of columns, that leaves reflectors."""

from aelle_core.lyapunov.kernels.householder.emitter import PANEL, compiled
from aelle_core.lyapunov.kernels.householder.reflectors import combine, eliminate
from aelle_core.lyapunov.kernels.householder.vectors import exchange, reflect

_LARGE_ENOUGH = 0.25  # of a column's largest entry: spares three exchanges of four, and rows grow little more


@compiled
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


@compiled
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
            for earlier in range(panel + 1):
                at = earlier * size * PANEL
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


@compiled
def factorise(blocks, size, k, v, y, pivots, order, radii, compact, lanes):  # type: ignore[no-untyped-def]
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


@compiled
def copy(source, target):  # type: ignore[no-untyped-def]
    """target <- source, both (stripes, rows, stripe)."""
    for number in range(source.shape[0]):
        for row in range(source.shape[1]):
            for column in range(source.shape[2]):
                target[number, row, column] = source[number, row, column]


@compiled
def rows_alive(blocks, size, k):  # type: ignore[no-untyped-def]
    """Return how many of the rows of k columns, in blocks (stripes, rows, stripe), are not all zero: their rank is no
    higher."""
    stripe, rows = blocks.shape[2], 0
    for row in range(size):
        for column in range(k):
            if blocks[column // stripe, row, column % stripe] != 0:
                rows += 1
                break
    return rows


@compiled
def dead_to_the_end(radii, columns, kept, blocks, size, moved):  # type: ignore[no-untyped-def]
    """Move a dead column (r = 0) that stands before others which may live, and its label in `columns`, to the end; fill
    the blocks again from `kept`. Returns whether there was one. `moved` columns stand there already.

    A dead column has no direction: what is orthogonalised against one that was made up for it is spoilt. All behind it
    are as dead when the living have taken up every row that is not zero, as where units are at rest.
    """
    k, stripe = radii.shape[0], blocks.shape[2]
    first = 0
    while first < k and radii[first] != 0:
        first += 1
    if first >= k - 1 - moved:
        return False
    if rows_alive(kept, size, k) == first:
        return False
    label = columns[first]
    for column in range(first, k - 1):
        columns[column] = columns[column + 1]
    columns[k - 1] = label
    for column in range(k):
        target = column if column < first else (first if column == k - 1 else column + 1)
        for row in range(size):
            blocks[column // stripe, row, column % stripe] = kept[target // stripe, row, target % stripe]
    copy(blocks, kept)
    return True
