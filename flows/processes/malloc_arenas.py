"""The memory of a process whose many threads allocate and free in turn."""

import ctypes

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


def share_arenas() -> None:
    """Have all threads take memory from two arenas of glibc's, where it is glibc that gives memory.

    By default there are eight for each core, and what the threads of Ray and Prefect free in one is not used by the
    next: a driver of many tasks grows with each of them, though it holds nothing. Children are not affected.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
