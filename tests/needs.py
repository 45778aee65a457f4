"""What some tests need beside Python."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Leave the test out, as something is not on this machine; where CI is set, everything must be, and it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
