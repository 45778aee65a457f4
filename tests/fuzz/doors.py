"""What the fuzz tests share: nasty values, and files with damaged content, all drawn from a seed."""

import random
from collections.abc import Callable

from aelle_core.foundation.errors import UserError

WORDS = (
    "", " ", "0", "-1", "1", "3", "nan", "inf", "-inf", "1e999", "9" * 30, "0x10", "a\0b", "~nosuchuser",
    "[/red]", "[bold]x", "x" * 5000, "..", "/dev/null", "/proc/self/mem", "s3://", "http://[", "file://[::1",
    "ä€😀", "a,b", ",", "None", "{}", "--", "loop", "pipe", "folder", "gru", "digits", "cpu", "full", "exact",
)  # fmt: skip
"""Words that a person, or a script, may give in any place."""


def values(draw: random.Random) -> object:
    """A value of any kind that Python, JSON or a form can hand over."""
    simple: list[object] = [None, True, False, 0, -1, 1, 3, 10**30, 0.5, float("nan"), float("inf"), [], {}, *WORDS]
    kind = draw.randrange(6)
    if kind == 0:
        return [draw.choice(simple) for _ in range(draw.randrange(3))]
    if kind == 1:
        return {str(draw.choice(WORDS)): draw.choice(simple) for _ in range(draw.randrange(3))}
    return draw.choice(simple)


def damaged(draw: random.Random, content: bytes) -> bytes:
    """The content with bytes turned over, cut off, doubled, or in another order."""
    held = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(held) + 1)
        kind = draw.randrange(5)
        if kind == 0 and held:
            held[min(at, len(held) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del held[at:]
        elif kind == 2:
            held[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
        elif kind == 3:
            held[at : at + draw.randrange(1, 40)] = b""
        elif held:
            number = draw.choice((b"\xff" * 8, b"\0" * 8, b"9" * 12))
            held[at : at + len(number)] = number
    return bytes(held)


def assert_result_or_sentence(work: Callable[[], object], what: object) -> bool:
    """Do the work. It gives a result (True) or raises UserError with one sentence (False); all else fails the test."""
    try:
        work()
    except UserError as error:
        assert str(error).strip(), what
        assert "\n" not in str(error).strip(), f"{what}: {error}"
        return False
    except BaseException as error:
        error.add_note(f"the input was {what!r}")
        raise
    return True
