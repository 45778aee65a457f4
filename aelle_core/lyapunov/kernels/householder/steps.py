"""One step of a trajectory's tangents, or several that share one factorisation."""

import numpy as np

from aelle_core.lyapunov.kernels.householder.emitter import compiled
from aelle_core.lyapunov.kernels.householder.factor import copy, dead_to_the_end, factorise, rows_alive
from aelle_core.lyapunov.kernels.householder.push import add_squares, multiply_tangents
from aelle_core.lyapunov.kernels.tangents import TOGETHER

SMALLEST = 1e-200  # of |r| over all steps: far from underflow
PATIENCE = 64
_HOPEFUL = 0.8  # of the loss that is allowed: more steps than were made at once before may lose more than foreseen


@compiled
def least_alive(line):  # type: ignore[no-untyped-def]
    """Return the least of |r| (k,), but for zeros at the end; nan where one of them is that."""
    alive = line.shape[0]
    while alive > 1 and line[alive - 1] == 0:
        alive -= 1
    least = line[0]
    for value in line[:alive]:
        if value < least or value != value:
            least = value
    return least


@compiled
def loss_of(line):  # type: ignore[no-untyped-def]
    """Return how far |r| (k,) are apart, in nats; infinite where that says nothing of the next step."""
    least = least_alive(line)
    return np.log(largest_of(line) / least) if least > 0 else np.inf


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
def steps_to_try(sharing, number, step):  # type: ignore[no-untyped-def]
    """How many steps of a trajectory, from `step` on, are to share a factorisation, at least 1; counts one of those to
    be made singly, if any."""
    if sharing.singly[number, 0] > 0:
        sharing.singly[number, 0] -= 1
        return 1
    stop = min(step // TOGETHER * TOGETHER + TOGETHER, sharing.wanted.shape[0])
    for end in range(step, stop - 1):
        if sharing.wanted[end]:
            stop = end + 1
            break
    most, loss, allowed = sharing.most[number], sharing.losses[number], 1
    while allowed < most:
        known = 2 * (allowed + 1) <= max(most, 4)
        if loss * (allowed + 1) > np.log(sharing.calm) * (1 if known else _HOPEFUL):
            break
        allowed += 1
    rounds = (stop - step + allowed - 1) // allowed
    return (stop - step + rounds - 1) // rounds  # 2 and 2 of 4, not 3 and 1


@compiled
def count_success(sharing, number, count, loss):  # type: ignore[no-untyped-def]
    """Let twice as many steps as these share the next factorisation, where the loss of each, in nats, allows it."""
    sharing.most[number] = max(sharing.most[number], 2 * count)
    sharing.losses[number] = loss
    if count > 1:
        sharing.singly[number, 1] = 0


@compiled
def count_failure(sharing, number):  # type: ignore[no-untyped-def]
    """Make the next 2, 6, 14, ... steps one by one, after one failure upon another, and then try two."""
    singly = sharing.singly[number]
    singly[1] = min(2 * singly[1] + 2, PATIENCE)
    singly[0] = singly[1]
    sharing.most[number] = 2


@compiled
def take_several(jacobian, step, count, dense_columns, calm, room, v, y, order, noise, random):  # type: ignore[no-untyped-def]
    """Multiply J Q of a step, which stands in room.blocks, by the Jacobians of the next, `count` steps in all, and
    factorise that into v, y and order.

    Returns whether rounding has left the sum of log |r|, in room.line, within calm eps, the nats a step that it has
    gained on the least living |r|, and the next random number. Where it is not within, v, y and order hold nothing of
    use. Directions beyond the rank that zero rows leave are dead.
    """
    size, k = order.shape[0], room.line.shape[0]
    source, after = room.blocks, random
    lengths_of_columns(source, size, room.longest)
    longest = largest_of(room.longest)
    bound = longest * 0
    alive = rows_alive(source, size, k)
    for ahead in range(1, count):
        target = room.kept if ahead % 2 else room.other
        norm, after = multiply_tangents(jacobian, step + ahead, size, dense_columns, room, source, target, noise, after)
        bound = norm / np.sqrt(size) * (bound + longest)
        source = target
        alive = min(alive, rows_alive(source, size, k))
        if ahead + 1 < count:
            lengths_of_columns(source, size, room.longest)
            longest = largest_of(room.longest)
    factorise(source, size, k, v, y, room.pivots, order, room.line, room.compact, room.width)
    for column in range(alive, k):  # no rank is left for these: what is there is rounding
        room.line[column] = 0
    least = least_alive(room.line)
    if least * calm >= bound and least > SMALLEST:
        return True, np.log(bound / least) / count, after
    return False, np.inf, random


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
