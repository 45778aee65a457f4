"""One step of a trajectory's tangents, or two at once."""

import numpy as np

from aelle_core.lyapunov.kernels.householder.emitter import compiled
from aelle_core.lyapunov.kernels.householder.factor import copy, dead_to_the_end, factorise
from aelle_core.lyapunov.kernels.householder.push import add_squares, multiply_tangents

CALM = 2e7
SMALLEST = 1e-200  # of |r| over two steps: far from underflow
PATIENCE = 64


@compiled
def least_of(line):  # type: ignore[no-untyped-def]
    """Return the least of the numbers (k,), or nan where one of them is that."""
    least = line[0]
    for value in line:
        if value < least or value != value:
            least = value
    return least


@compiled
def largest_of(line):  # type: ignore[no-untyped-def]
    """Return the largest of the numbers (k,), or nan where one of them is that."""
    largest = line[0]
    for value in line:
        if value > largest or value != value:
            largest = value
    return largest


@compiled
def lengths_of_columns(blocks, size, lengths):  # type: ignore[no-untyped-def]
    """lengths (k,) <- the columns' Euclidean lengths."""
    stripe = blocks.shape[2]
    lengths[:] = 0
    for number in range(blocks.shape[0]):
        count = min(stripe, lengths.shape[0] - number * stripe)
        add_squares(blocks[number], size, lengths[number * stripe : number * stripe + count])
    for column in range(lengths.shape[0]):
        lengths[column] = np.sqrt(lengths[column])


@compiled
def may_try_two(pairing, number, step):  # type: ignore[no-untyped-def]
    """Whether two steps of a trajectory may share a factorisation; counts one of those to be made singly, if any."""
    if pairing.singly[number, 0] > 0:
        pairing.singly[number, 0] -= 1
        return False
    if step % 2 or step + 1 >= pairing.wanted.shape[0] or pairing.wanted[step]:
        return False
    return pairing.hopes[number] ** 2 * CALM >= 1


@compiled
def count_failure(singly):  # type: ignore[no-untyped-def]
    """Make the next 2, 6, 14, ... steps one by one, after one failure upon another; singly is (2,)."""
    singly[1] = min(2 * singly[1] + 2, PATIENCE)
    singly[0] = singly[1]


@compiled
def take_two(jacobian, step, dense_columns, room, v, y, order, noise, random):  # type: ignore[no-untyped-def]
    """Multiply J Q, which stands in room.blocks, by the next Jacobian, and factorise that into v, y and order.

    Returns whether rounding has left the sum of both log |r|, in room.line, within CALM eps, and the next random
    number. Where it has not, v, y and order hold nothing of use.
    """
    size, k = order.shape[0], room.line.shape[0]
    lengths_of_columns(room.blocks, size, room.longest)
    norm, after = multiply_tangents(jacobian, step + 1, size, dense_columns, room, noise, random)
    bound = norm / np.sqrt(size) * largest_of(room.longest)
    factorise(room.kept, size, k, v, y, room.pivots, order, room.line, room.compact, room.width)
    least = least_of(room.line)
    if least * CALM >= bound and least > SMALLEST:
        return True, after
    return False, random


@compiled
def take_one(labels, room, v, y, order):  # type: ignore[no-untyped-def]
    """Factorise J Q, which stands in room.blocks and is kept in room.kept, into v, y and order; |r| into room.line.

    Directions that die go to the end, with their labels (k,).
    """
    size, k = order.shape[0], labels.shape[0]
    copy(room.blocks, room.kept)
    factorise(room.blocks, size, k, v, y, room.pivots, order, room.line, room.compact, room.width)
    moved = 0
    while dead_to_the_end(room.line, labels, room.kept, room.blocks, size, moved):
        moved += 1
        factorise(room.blocks, size, k, v, y, room.pivots, order, room.line, room.compact, room.width)
