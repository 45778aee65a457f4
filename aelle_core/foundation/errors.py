"""Exceptions for mistakes of the user and for places that fail, and the registry lookup that raises one."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake of the user: one sentence that repeats what was given and what was expected.

    It carries one argument only, so that it survives pickling between processes.
    """


class PlaceError(RuntimeError):
    """The place where results go fails under way: a full disk, a directory that was removed, one that became
    read-only. One sentence that names the place. Whatever was finished stays there, as far as the place does.

    It carries one argument only, so that it survives pickling between processes.
    """


def first_line(error: Exception) -> str:
    """Return what somebody else's error says, in one line; its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Names for a sentence: all, or the first of them and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def unknown_name(kind: str, given: object, known: Iterable[str]) -> UserError:
    """Return the error for a name that no registry holds, with the nearest known name where there is one."""
    names = sorted(known)
    near = get_close_matches(str(given), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UserError(f"unknown {kind} {given!r}: expected one of {', '.join(names)}{hint}")
