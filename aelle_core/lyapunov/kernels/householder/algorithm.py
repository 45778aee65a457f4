"""Row-pivoted Householder orthogonalisation whose Q is never formed.

Tangents are kept as the reflectors of the last factorisation, J_t Q_{t-1} = Q_t R_t with Q = P^T H_1 H_2 ... H_k, P the
row exchanges. The next step needs J Q = J P^T H_1 ... H_k, so reflectors go straight onto the next Jacobian: 10/3 N^3
operations a step, where forming Q and multiplying takes 14/3.

Before each reflector the largest entry of its column, or one not much smaller, is exchanged to the top. Rows that
saturation has scaled down by hundreds of orders of magnitude then keep their digits (Powell & Reid 1969; Cox & Higham,
Stability of Householder QR factorization for weighted least squares problems, 1998). PANEL reflectors are applied
together as I - V T V^T (Schreiber & Van Loan 1989), with Y = V T^T made once. Reflections act on blocks of `stripe`
columns, which stay in the cache; rows of blocks are contiguous, so that all inner loops run over whole registers.

Where nothing is ill-conditioned, tangents take several steps, TOGETHER at most, between factorisations: J' (J Q) =
Q' R', and log |r| is the sum of all steps'. Rounding then changes log |r| by about eps b / min |r|, with b = |J'| |J Q|
after two steps, b' = |J''| (b + |J' J Q|) after three, and so on; |J'| is the root mean square of its columns' lengths
and |J Q| the longest column's. Where that is above `calm` eps, 4e-9 nats, the first step is made again on its own, and
so are the next two, or six, fourteen, ... up to PATIENCE after one failure upon another. A success lets twice as many
steps share the next factorisation, as far as the loss that it had a step promises to be small enough.

Units at rest make rows of J zero. Several steps then have the least rank of any of them: directions beyond it are dead,
r = 0, and no rounding that stands in their place is taken for a small |r|.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from aelle_core.foundation import vector_instructions as vector_code
from aelle_core.lyapunov.kernels import tangents as what_is_asked
from aelle_core.lyapunov.kernels.householder import (
    arguments,
    coupling,
    emitter,
    factor,
    push,
    reflectors,
    sparse,
    steps,
    vectors,
)
from aelle_core.lyapunov.kernels.householder.arguments import (
    Disturbance,
    Numbers,
    Record,
    Reflectors,
    Sharing,
    Terms,
    make_room,
    zeros,
)
from aelle_core.lyapunov.kernels.householder.emitter import COMPILED, compiled
from aelle_core.lyapunov.kernels.householder.factor import copy
from aelle_core.lyapunov.kernels.householder.kept import in_users_cache
from aelle_core.lyapunov.kernels.householder.push import disturb_reflectors, push_tangents
from aelle_core.lyapunov.kernels.householder.steps import (
    count_failure,
    count_success,
    lengths_of_columns,
    loss_of,
    steps_to_try,
    take_one,
    take_several,
)


@compiled
def _jacobian_of(terms, number, per_network):  # type: ignore[no-untyped-def]
    """Return the terms of one trajectory, whose matrices are its network's."""
    return Terms(
        terms.units,
        terms.matrices[number // per_network],
        terms.factors[number],
        terms.factor_positions,
        terms.dense[number],
        terms.dense_positions,
        terms.diagonals[number],
        terms.diagonal_positions,
        terms.column_matrices[number // per_network],
        terms.column_factors[number],
        terms.column_positions,
        terms.lefts[number // per_network],
        terms.rights[number],
        terms.outer_positions,
        terms.starts[number // per_network],
        terms.numbers,
        terms.entries,
        terms.ones,
        terms.by_input[number],
        terms.weight[number // per_network],
        terms.residual[number // per_network],
        terms.norm[number // per_network],
        terms.top,
    )


@compiled
def _move(number, terms, numbers, tangents, record, sharing, disturbance, room, spare):  # type: ignore[no-untyped-def]
    """Move the tangents of one trajectory along all steps. `spare` is a v, y and order that several steps write."""
    jacobian = _jacobian_of(terms, number, numbers.per_network)
    labels, radii = tangents.labels[number], record.radii[number]
    count, size, k = radii.shape[0], tangents.orders.shape[1], numbers.k
    random = np.uint64(disturbance.seed) * np.uint64(6364136223846793005) + np.uint64(number)
    noise = disturbance.noise if disturbance.disturbed[number] else disturbance.noise[:0]
    v, y, order = tangents.v[number], tangents.y[number], tangents.orders[number]
    other_v, other_y, other_order = spare
    elsewhere = False
    step = 0
    while step < count:
        random = push_tangents(jacobian, step, size, k, v, y, order, room, noise, random)
        together = steps_to_try(sharing, number, step)
        calm = False
        if together > 1:
            calm, loss, random = take_several(
                jacobian,
                step,
                together,
                numbers.dense_columns,
                sharing.calm,
                room,
                other_v,
                other_y,
                other_order,
                noise,
                random,
            )
            if calm:
                count_success(sharing, number, together, loss)
                v, other_v = other_v, v
                y, other_y = other_y, y
                order, other_order = other_order, order
                elsewhere = not elsewhere
                for earlier in range(together - 1):
                    radii[step + earlier] = 1
                step += together - 1
            else:
                count_failure(sharing, number)
        if not calm:
            take_one(labels, room, v, y, order)
            if together == 1:
                count_success(sharing, number, 1, loss_of(room.line))
        if noise.shape[0]:
            random = disturb_reflectors(v, y, noise, random)
        for column in range(k):
            radii[step, labels[column]] = room.line[column]
        if record.lengths.shape[0]:  # each step is on its own then
            lengths_of_columns(room.kept, size, room.line)
            for column in range(k):
                record.lengths[number, step, labels[column]] = room.line[column]
        step += 1
    if elsewhere:  # the tangents stand in `spare`, which the next trajectory needs
        copy(v, tangents.v[number])
        copy(y, tangents.y[number])
        for row in range(size):
            tangents.orders[number, row] = order[row]


def _with_fingerprint(fingerprint: int) -> Any:
    """Return the compiled entry point. It alone is cached, with all that it calls: numba's cache does not see a
    change of another file, but what a closure holds it does."""

    @njit(cache=True, **COMPILED)
    def advance(  # type: ignore[no-untyped-def]
        first,
        stop,
        terms,
        numbers,
        tangents,
        record,
        sharing,
        disturbance,
    ):
        """Move the tangents of trajectories [first, stop) along all steps of their Jacobians.

        The other arguments are the named tuples of `arguments`, in this order, as plain tuples: numba recognises those
        in a microsecond, named ones in a hundred.
        """
        if fingerprint < 0:
            return
        v, y, orders, labels = tangents
        per_network, k, stripe, height, dense_columns, entries = numbers
        room = make_room(orders.shape[1], k, stripe, height, entries, v)
        spare = (
            zeros(v[0].size, v).reshape(v[0].shape),
            zeros(v[0].size, v).reshape(v[0].shape),
            np.zeros(orders.shape[1], np.int64),
        )
        of_terms, numbers = Terms(*terms), Numbers(per_network, k, stripe, height, dense_columns, entries)
        reflectors, told = Reflectors(v, y, orders, labels), Record(*record)
        shared, disturbed = Sharing(*sharing), Disturbance(*disturbance)
        for number in range(first, stop):
            _move(number, of_terms, numbers, reflectors, told, shared, disturbed, room, spare)

    return advance


_SOURCES = (vector_code, what_is_asked, arguments, coupling, emitter, factor, push, reflectors, sparse, steps, vectors)
with in_users_cache():
    advance = _with_fingerprint(zlib.crc32(b"".join(Path(str(source.__file__)).read_bytes() for source in _SOURCES)))
