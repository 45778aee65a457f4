"""A pack in parts: as many networks at once as there is memory for, and those shared among threads."""

import itertools
from collections.abc import Callable
from typing import TypeVar

from aelle_core.training.memory import is_out_of_memory

Result = TypeVar("Result")


def in_parts(
    work: Callable[[slice], Result], networks: int, at_once: int, lessen: Callable[[int], int]
) -> list[Result]:
    """`work` on the networks part by part, `at_once` of them; a part for which there is no memory is tried again in
    halves. `lessen(fewer)` gives back what can be given back, and says how many at once from then on.

    Raises MemoryError where there is no memory for one network alone.
    """
    results: list[Result] = []
    first = 0
    while first < networks:
        part = slice(first, min(first + at_once, networks))
        if (result := _unless_out_of_memory(work, part)) is None:
            at_once = lessen((part.stop - part.start) // 2)
            continue
        results.append(result)
        first = part.stop
    return results


def _unless_out_of_memory(work: Callable[[slice], Result], part: slice) -> Result | None:
    """Return the work's result, or None when memory ran out: its error, and all that its frames hold, is then freed."""
    try:
        return work(part)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if part.stop - part.start == 1:
            raise MemoryError("one network alone does not fit") from error
        return None


def shares(part: slice, count: int) -> list[slice]:
    """Return the part in `count` shares of about the same number of networks."""
    networks = part.stop - part.start
    bounds = [part.start + networks * number // count for number in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]
